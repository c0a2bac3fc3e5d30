"""Non-maximum suppression: ``nms``, ``softnms`` and ``nms_match`` of ``mmcv._ext``."""

import numpy as np
import torch
from torch import Tensor

from .backend import single, torchvision_ops, widen

LINEAR, GAUSSIAN = 1, 2  # mmcv's numbers of soft-NMS methods; 0 is hard suppression


@torch.no_grad()
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Suppress boxes that overlap a better one by more than a threshold.

    Args:
        boxes: Corners ``x1, y1, x2, y2`` in px, shape (N, 4).
        scores: Shape (N,).
        iou_threshold: A box goes when its overlap is greater than this.
        offset: 0, or 1 where a box's width is ``x2 - x1 + 1``.

    Returns:
        Indices of the kept boxes, best first.
    """
    if boxes.numel() == 0:
        return boxes.new_empty(0, dtype=torch.long)
    # Sorted by the same call as mmcv's, so that equal scores come in its order;
    # torchvision then sees strictly falling ranks and has no ties to break.
    order = scores.sort(0, descending=True)[1]
    ranked = widen(boxes)[order]
    if offset:
        ranked = torch.cat([ranked[:, :2], ranked[:, 2:] + offset], dim=1)
    ranks = torch.arange(len(order), 0, -1, dtype=ranked.dtype, device=ranked.device)
    keep = torchvision_ops().nms(ranked, ranks, single(iou_threshold))
    return order[keep]


@torch.no_grad()
def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the scores of overlapping boxes; drop those that fall too low.

    Args:
        boxes: Corners in px, shape (N, 4), on the CPU.
        scores: Shape (N,), on the CPU.
        dets: Filled in place with the kept boxes and their new scores, shape (N, 5).
        iou_threshold: Overlap from which a score is lowered (not used by Gaussian).
        sigma: Width of the Gaussian.
        min_score: A score below this drops its box.
        method: 0 hard, 1 linear, 2 Gaussian.
        offset: 0, or 1 where a box's width is ``x2 - x1 + 1``.

    Returns:
        Indices of the kept boxes, in the order of ``dets``.
    """
    box = boxes.float().numpy().copy()
    score = scores.float().numpy().copy()
    index = np.arange(len(box))
    iou_threshold, sigma, min_score = np.float32([iou_threshold, sigma, min_score])
    first = 0
    while first < len(box):
        # The first best of the rest, a NaN taken only where it stands: a C++ loop
        # with `<` finds the same.
        rest = score[first:]
        best = first
        if not np.isnan(rest[0]):
            best += int(np.where(np.isnan(rest), -np.inf, rest).argmax())
        for values in (box, score, index):
            values[[first, best]] = values[[best, first]]

        overlap = _overlaps(box[first], box[first + 1 :], offset)
        if method == GAUSSIAN:
            # The C library's float32 exponential is that of float64, rounded; NumPy's
            # own is off by a bit or two, which can change the order of two boxes.
            exponent = -(overlap * overlap) / sigma
            weight = np.exp(exponent.astype(np.float64)).astype(np.float32)
        else:
            lowered = 1 - overlap if method == LINEAR else np.float32(0)
            weight = np.where(overlap >= iou_threshold, lowered, np.float32(1))
        score[first + 1 :] *= weight

        first += 1
        keep = ~(score[first:] < min_score)
        if not keep.all():
            order = np.concatenate([np.arange(first), first + _fill_holes(keep)])
            box, score, index = box[order], score[order], index[order]
    kept = np.concatenate([box, score[:, None]], axis=1)
    dets[: len(kept)] = torch.from_numpy(kept).to(dets)
    return torch.from_numpy(index)


def _fill_holes(keep: np.ndarray) -> np.ndarray:
    """Order of the kept elements when each hole is filled from the end of the list.

    mmcv drops a box by moving the last one into its place; among equal scores the
    resulting order decides which box is the next best.
    """
    count = int(keep.sum())
    order = np.arange(count)
    order[~keep[:count]] = count + np.flatnonzero(keep[count:])[::-1]
    return order


@torch.no_grad()
def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group every box with the better box that suppresses it.

    Args:
        dets: Boxes and scores, shape (N, 5), on the CPU.
        iou_threshold: Overlap from which a box joins a better one's group.

    Returns:
        Groups of indices; the kept box first, then its members by falling score.
    """
    rest = dets[:, 4].sort(0, descending=True)[1].numpy()
    box = dets[:, :4].float().numpy()
    groups = []
    while len(rest):
        overlap = _overlaps(box[rest[0]], box[rest[1:]], offset=0)
        joins = overlap >= np.float32(iou_threshold)
        groups.append([int(rest[0]), *rest[1:][joins].tolist()])
        rest = rest[1:][~joins]
    return groups


def _overlaps(one: np.ndarray, others: np.ndarray, offset: int) -> np.ndarray:
    """Intersection over union of one box (4,) with others (N, 4), in float32.

    Two boxes without area give NaN, which no comparison counts as an overlap.
    """
    top_left = np.maximum(one[:2], others[:, :2])
    bottom_right = np.minimum(one[2:], others[:, 2:])
    width, height = np.maximum(bottom_right - top_left + np.float32(offset), 0).T
    inter = width * height
    union = _areas(one[None], offset) + _areas(others, offset) - inter
    with np.errstate(divide='ignore', invalid='ignore'):
        return inter / union


def _areas(box: np.ndarray, offset: int) -> np.ndarray:
    width, height = (box[:, 2:] - box[:, :2] + np.float32(offset)).T
    return width * height
