"""What an exported network found in an image."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Classification:
    """The class of an image.

    Args:
        scores: Probability of each class, (C,).
    """

    scores: np.ndarray

    def summary(self, classes: list[str], score_thr: float = 0.0) -> str:
        """Return the result in a few words."""
        label = int(self.scores.argmax())
        return f'{class_name(classes, label)} ({self.scores[label]:.2f})'

    def to_dict(self, classes: list[str]) -> dict[str, Any]:
        """Return the five most probable classes for JSON."""
        best = np.argsort(-self.scores, kind='stable')[:5]
        return {
            'classes': [class_name(classes, int(label)) for label in best],
            'labels': best.tolist(),
            'scores': [float(score) for score in self.scores[best]],
        }


@dataclass(frozen=True)
class Detections:
    """The objects in an image, best first.

    Args:
        boxes: ``x1, y1, x2, y2`` in px of the image, (K, 4).
        scores: (K,).
        labels: (K,).
        masks: Pixels of each object, booleans (K, H, W), or None.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None

    def summary(self, classes: list[str], score_thr: float = 0.0) -> str:
        """Return the result in a few words."""
        count = int((self.scores >= score_thr).sum())
        return f'{count} objects of score >= {score_thr:g}'

    def to_dict(self, classes: list[str]) -> dict[str, Any]:
        """Return the objects for JSON; masks as COCO's uncompressed RLE."""
        found = {
            'boxes': self.boxes.astype(float).round(3).tolist(),
            'scores': [float(score) for score in self.scores],
            'labels': self.labels.tolist(),
            'classes': [class_name(classes, int(label)) for label in self.labels],
        }
        if self.masks is not None:
            found['masks'] = [run_lengths(mask) for mask in self.masks]
        return found


@dataclass(frozen=True)
class SegmentationMap:
    """The class of each pixel.

    Args:
        labels: At the size of the image, (H, W).
    """

    labels: np.ndarray

    def summary(self, classes: list[str], score_thr: float = 0.0) -> str:
        """Return the result in a few words."""
        found = self.to_dict(classes)
        shares = [
            f'{name} {count / self.labels.size:.1%}'
            for name, count in zip(found['classes'], found['pixels'])
        ]
        return 'classes ' + ', '.join(shares)

    def to_dict(self, classes: list[str]) -> dict[str, Any]:
        """Return the number of pixels of each class for JSON."""
        labels, counts = np.unique(self.labels, return_counts=True)
        return {
            'classes': [class_name(classes, int(label)) for label in labels],
            'labels': labels.tolist(),
            'pixels': counts.tolist(),
        }

    def to_gray(self, classes: list[str]) -> np.ndarray:
        """Return the labels as gray pixels, of 16 bits where 8 are too few."""
        few = len(classes) <= 256 and self.labels.max(initial=0) < 256
        return self.labels.astype(np.uint8 if few else np.uint16)


def class_name(classes: list[str], label: int) -> str:
    """Return the name of a class, or its number if the file has no name for it."""
    return classes[label] if label < len(classes) else str(label)


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """Return a mask as COCO's uncompressed RLE: runs column by column, zeros first."""
    flat = np.concatenate([[False], mask.ravel(order='F')])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
    return {'size': list(mask.shape), 'counts': counts}


def paste_masks(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float
) -> np.ndarray:
    """Stretch the mask of each object over its box, as mmdet does.

    Args:
        masks: Probabilities on a grid over the box, (K, h, w).
        boxes: In px of the image, (K, 4).
        size: Height and width of the image.
        threshold: Probability from which a pixel belongs to the object.

    Returns:
        Booleans, (K, *size).
    """
    pasted = np.zeros((len(masks), *size), bool)
    for canvas, mask, (x1, y1, x2, y2) in zip(pasted, masks, boxes):
        top, left = (max(int(np.floor(side)) - 1, 0) for side in (y1, x1))
        bottom = min(int(np.ceil(y2)) + 1, size[0])
        right = min(int(np.ceil(x2)) + 1, size[1])
        if bottom > top and right > left:
            # Bilinear weights are separable: two matrix products.
            down = _weights(top, bottom, y1, y2, mask.shape[0])
            across = _weights(left, right, x1, x2, mask.shape[1])
            canvas[top:bottom, left:right] = down @ mask @ across.T >= threshold
    return pasted


def _weights(
    start: int, stop: int, low: np.float32, high: np.float32, cells: int
) -> np.ndarray:
    """Return weights (stop - start, cells) that sample a grid from low to high."""
    pixels = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    with np.errstate(divide='ignore', invalid='ignore'):
        place = (pixels - low) / (high - low) * 2 - 1
    place[~np.isfinite(place)] = 0  # boxes without an extent
    place = ((place + 1) * cells - 1) / 2
    # Zeros beyond the grid: a cell weighs 1 at its center, 0 from its neighbor's on.
    distance = np.abs(place[:, None] - np.arange(cells, dtype=np.float32))
    return (1 - distance).clip(0, None).astype(np.float32)
