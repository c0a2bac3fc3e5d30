"""What an exported network found in one picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Classification:
    """The class of a picture.

    Args:
        scores: Probability of each class, (C,).
    """

    scores: np.ndarray

    def words(self, classes: list[str], score_thr: float = 0.0) -> str:
        """The result in a few words."""
        label = int(self.scores.argmax())
        return f'{name_of(classes, label)} ({self.scores[label]:.2f})'

    def as_dict(self, classes: list[str]) -> dict[str, Any]:
        """The result as what JSON can hold: the five most probable classes."""
        best = np.argsort(-self.scores, kind='stable')[:5]
        return {
            'classes': [name_of(classes, int(label)) for label in best],
            'labels': best.tolist(),
            'scores': [float(score) for score in self.scores[best]],
        }


@dataclass(frozen=True)
class Detections:
    """The objects of a picture, best first.

    Args:
        boxes: ``x1, y1, x2, y2`` in px of the picture, (K, 4).
        scores: (K,).
        labels: (K,).
        masks: Which pixels belong to each object, booleans (K, H, W), or None.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None

    def above(self, score_thr: float) -> 'Detections':
        """Those of at least a score."""
        keep = self.scores >= score_thr
        masks = None if self.masks is None else self.masks[keep]
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep], masks)

    def words(self, classes: list[str], score_thr: float = 0.0) -> str:
        """The result in a few words."""
        return (
            f'{int((self.scores >= score_thr).sum())} objects of score >= {score_thr:g}'
        )

    def as_dict(self, classes: list[str]) -> dict[str, Any]:
        """The result as what JSON can hold; masks as COCO's uncompressed RLE."""
        found = {
            'boxes': self.boxes.astype(float).round(3).tolist(),
            'scores': [float(score) for score in self.scores],
            'labels': self.labels.tolist(),
            'classes': [name_of(classes, int(label)) for label in self.labels],
        }
        if self.masks is not None:
            found['masks'] = [run_lengths(mask) for mask in self.masks]
        return found


@dataclass(frozen=True)
class LabelMap:
    """The class of each pixel.

    Args:
        labels: In the picture's own size, (H, W).
    """

    labels: np.ndarray

    def words(self, classes: list[str], score_thr: float = 0.0) -> str:
        """The result in a few words."""
        labels, counts = np.unique(self.labels, return_counts=True)
        shares = [
            f'{name_of(classes, int(label))} {count / self.labels.size:.1%}'
            for label, count in zip(labels, counts)
        ]
        return 'classes ' + ', '.join(shares)

    def as_dict(self, classes: list[str]) -> dict[str, Any]:
        """The result as what JSON can hold: how many pixels are of which class."""
        labels, counts = np.unique(self.labels, return_counts=True)
        return {
            'classes': [name_of(classes, int(label)) for label in labels],
            'labels': labels.tolist(),
            'pixels': counts.tolist(),
        }


def grey(result: LabelMap, classes: list[str]) -> np.ndarray:
    """A label map as the pixels of a picture in grey, of 16 bits where 8 are too few."""
    few = len(classes) <= 256 and result.labels.max(initial=0) < 256
    return result.labels.astype(np.uint8 if few else np.uint16)


def name_of(classes: list[str], label: int) -> str:
    """The name of a class, or its number where the file knows no name."""
    return classes[label] if label < len(classes) else str(label)


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask in COCO's uncompressed RLE: lengths of runs, column by column, 0 first."""
    flat = mask.ravel(order='F').astype(bool)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {'size': list(mask.shape), 'counts': counts}


def paste_masks(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float
) -> np.ndarray:
    """Stretch each object's mask over its box, as mmdet does.

    Args:
        masks: Probabilities on a grid over the box, (K, h, w).
        boxes: In px of the picture, (K, 4).
        size: Height and width of the picture.
        threshold: From which probability a pixel belongs to the object.

    Returns:
        Booleans, (K, *size).
    """
    pasted = np.zeros((len(masks), *size), bool)
    for canvas, mask, (x1, y1, x2, y2) in zip(pasted, masks, boxes):
        if not np.isfinite([x1, y1, x2, y2]).all():
            continue
        top, left = (max(int(np.floor(side)) - 1, 0) for side in (y1, x1))
        bottom = min(int(np.ceil(y2)) + 1, size[0])
        right = min(int(np.ceil(x2)) + 1, size[1])
        if bottom <= top or right <= left:
            continue
        down = _sampling(top, bottom, y1, y2, mask.shape[0])
        across = _sampling(left, right, x1, x2, mask.shape[1])
        # The bilinear weights of rows and columns are apart: two matrix products.
        canvas[top:bottom, left:right] = down @ mask @ across.T >= threshold
    return pasted


def _sampling(
    start: int, stop: int, low: np.float32, high: np.float32, cells: int
) -> np.ndarray:
    """Weights (stop - start, cells) that sample a grid between low and high linearly."""
    pixels = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    with np.errstate(divide='ignore', invalid='ignore'):
        place = (pixels - low) / (high - low) * 2 - 1
    place[~np.isfinite(place)] = 0  # boxes without an extent
    place = ((place + 1) * cells - 1) / 2
    # Beyond the grid lie zeros: a cell weighs 1 at its centre, 0 from its neighbour's on.
    distance = np.abs(place[:, None] - np.arange(cells, dtype=np.float32))
    return (1 - distance).clip(0, None).astype(np.float32)
