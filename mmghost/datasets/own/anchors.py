"""How well anchors fit the boxes of a data set, and which would fit better."""

from collections.abc import Sequence

import numpy as np

# Fitting is judged by shape alone: anchors lie everywhere, so the position is left out.
_GOOD = 0.5  # IoU from which a box is well matched
_WORTH = 0.05  # share of boxes that other anchors must gain to be written down
_NEARLY = (
    0.03  # of the best share: small anchors lie on coarse maps, so larger ones win
)
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

    Args:
        boxes: Widths and heights at the input size in px, (M, 2).
        strides: Strides of the levels.
        default: The scale that the config has.
        octaves: Anchors for each octave, as RetinaNet's ``scales_per_octave``.
        ratios: Heights over widths.

    Returns:
        The scale (the default, unless another matches clearly more boxes), the share of
        boxes that it matches, and the share that the default does.
    """

    def share(scale: float) -> float:
        scales = [scale * 2 ** (i / octaves) for i in range(octaves)]
        return matched(boxes, grid(strides, scales, ratios))

    usual = share(default)
    shares = {scale: share(scale) for scale in _SCALES}
    best = max(shares.values())
    if best < usual + _WORTH:
        return default, usual, usual
    chosen = max(scale for scale in _SCALES if shares[scale] >= best - _NEARLY)
    return chosen, shares[chosen], usual


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
