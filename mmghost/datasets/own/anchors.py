"""How well anchors fit the boxes of a data set, and which would fit better."""

from collections.abc import Sequence

import numpy as np

# Fitting is judged by shape alone: anchors lie everywhere, so the position is left out.
_GOOD = 0.5  # IoU from which a box is well matched
_WORTH = 0.05  # what other anchors must gain to be written down
# Positions of its map that an object's side covers from where more are no gain. On coarser
# maps it is found worse: docs/results.md compares four for nuclei of 11 px.
_CELLS = 3
_SCALES = (1, 1.5, 2, 3, 4, 6, 8, 12, 16)


def shape_iou(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU of widths and heights laid upon each other.

    Args:
        boxes: Widths and heights, (M, 2).
        anchors: Widths and heights, (K, 2).

    Returns:
        (M, K).
    """
    inter = np.minimum(boxes[:, None], anchors[None]).prod(-1)
    return inter / (boxes.prod(-1)[:, None] + anchors.prod(-1)[None] - inter)


def grid(
    strides: Sequence[int], scales: Sequence[float], ratios: Sequence[float]
) -> np.ndarray:
    """Widths and heights of mmdet's AnchorGenerator, (K, 2)."""
    return np.array(
        [
            (stride * scale / ratio**0.5, stride * scale * ratio**0.5)
            for stride in strides
            for scale in scales
            for ratio in ratios
        ]
    )


def matched(boxes: np.ndarray, anchors: np.ndarray) -> float:
    """Share of boxes that have an anchor of nearly their shape."""
    if not len(boxes):
        return 1.0
    return float((shape_iou(boxes, anchors).max(1) >= _GOOD).mean())


def best_scale(
    boxes: np.ndarray,
    strides: Sequence[int],
    default: float,
    octaves: int = 1,
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
) -> tuple[float, float, float]:
    """Find the scale of anchors, in strides, that fits best.

    A box counts for as much as the map of an anchor of its shape shows of it: anchors of
    few strides match small boxes, but on maps where these are a point or two.

    Args:
        boxes: Widths and heights at the input size in px, (M, 2).
        strides: Strides of the levels.
        default: The scale that the config has.
        octaves: Anchors for each octave, as RetinaNet's ``scales_per_octave``.
        ratios: Heights over widths.

    Returns:
        The scale (the default, unless another fits clearly better), the share of
        boxes that it matches, and the share that the default does.
    """

    def anchors(scale: float) -> np.ndarray:
        scales = [scale * 2 ** (i / octaves) for i in range(octaves)]
        return grid(strides, scales, ratios)

    sides = np.sqrt(boxes.prod(1))[:, None]
    of_anchor = np.repeat(strides, octaves * len(ratios))
    worth = np.minimum(1, sides / (_CELLS * of_anchor))

    def fit(scale: float) -> float:
        good = shape_iou(boxes, anchors(scale)) >= _GOOD
        return float((good * worth).max(1).mean()) if len(boxes) else 1.0

    fits = {scale: fit(scale) for scale in _SCALES}
    best = max(fits, key=lambda scale: (fits[scale], scale))
    chosen = best if fits[best] >= fit(default) + _WORTH else default
    return (
        chosen,
        matched(boxes, anchors(chosen)),
        matched(boxes, anchors(default)),
    )


def cluster(boxes: np.ndarray, count: int = 9, rounds: int = 100) -> np.ndarray:
    """Cluster shapes as YOLO's anchors are: k-means with 1 - IoU as the distance.

    Args:
        boxes: Widths and heights at the input size in px, (M, 2).
        count: How many anchors.
        rounds: After how many rounds to stop at the latest.

    Returns:
        Widths and heights, (count, 2), by growing area. The start is fixed: equal shares
        of the boxes by area.
    """
    order = boxes[np.argsort(boxes.prod(1))]
    quantiles = (np.arange(count) + 0.5) / count * len(order)
    centres = order[quantiles.astype(int)].copy()
    assigned = None
    for _ in range(rounds):
        nearest = shape_iou(boxes, centres).argmax(1)
        if assigned is not None and (nearest == assigned).all():
            break
        assigned = nearest
        for k in range(count):
            if (assigned == k).any():
                centres[k] = np.median(boxes[assigned == k], 0)
    return centres[np.argsort(centres.prod(1))]
