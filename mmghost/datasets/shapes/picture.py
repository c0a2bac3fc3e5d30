"""The pictures of the Shapes data set: filled, textured shapes that hide one another.

A picture follows from its seed, split and number alone, so that any part of the data
set can be drawn anywhere, in any order, by any number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .arguments import parse_objects, parse_sizes, whole_number
from .classes import Look, parse_classes
from .painting import background, paint, photograph
from .placing import Placed, place_shapes

# Bump this whenever the same arguments no longer give the same pictures.
DRAWING_VERSION = 1

SPLITS = ('train', 'val')

# A shape's diameter as a share of the picture's shorter side: among others, alone.
SCALES = (0.2, 0.7)
SINGLE_SCALES = (0.45, 0.95)


@dataclass(frozen=True)
class Instance:
    """One shape of a picture.

    Attributes:
        label: Index of its class.
        mask: The pixels where it is visible, ``(H, W)`` bool.
        bbox: Tight box around them, ``(x, y, width, height)`` in px.
        area: Their number.
    """

    label: int
    mask: np.ndarray
    bbox: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True)
class Picture:
    """A picture and all that is in it.

    Attributes:
        image: ``(H, W, 3)`` uint8, BGR as mmcv reads pictures.
        instances: The shapes from back to front; their masks do not overlap.
    """

    image: np.ndarray
    instances: tuple[Instance, ...]

    @property
    def semantic(self) -> np.ndarray:
        """``(H, W)`` uint8: 0 for the background, else 1 + the label.

        It is uint16 where a label is above 254.
        """
        highest = max(instance.label for instance in self.instances) + 1
        labels = np.zeros(self.image.shape[:2], np.min_scalar_type(highest))
        for instance in self.instances:
            labels[instance.mask] = instance.label + 1
        return labels


def draw_picture(
    seed: int,
    split: str,
    index: int,
    size: int | Sequence[int] = 192,
    max_size: int | Sequence[int] | None = None,
    classes: int | Sequence[str] | Sequence[Look] = 8,
    objects: int | Sequence[int] = (1, 6),
) -> Picture:
    """Draw one picture of the Shapes data set.

    Args:
        seed: The data set's seed, 0 or more.
        split: ``'train'`` or ``'val'``.
        index: Number of the picture within its split, from 0.
        size: Side or ``(height, width)`` in px.
        max_size: If given, each side is drawn between ``size`` and this.
        classes: As :func:`parse_classes` takes or returns them.
        objects: Number of shapes, or the least and the most. Fewer are drawn where
            they find no place in which enough of them is visible; never none.

    Returns:
        The picture, the same for the same arguments.

    Raises:
        ValueError: If an argument is wrong; the message names it.

    Example:
        >>> picture = draw_picture(seed=0, split='train', index=0)
        >>> picture.image.shape, picture.semantic.shape
        ((192, 192, 3), (192, 192))
    """
    rng = _generator(seed, split, index)
    looks = _as_looks(classes)
    shape = _draw_size(rng, *parse_sizes(size, max_size))
    least, most = parse_objects(objects)
    labels = rng.integers(len(looks), size=rng.integers(least, most + 1))
    return _draw(rng, shape, looks, labels, SCALES)


def draw_single(
    seed: int,
    split: str,
    index: int,
    label: int,
    size: int | Sequence[int] = 192,
    max_size: int | Sequence[int] | None = None,
    classes: int | Sequence[str] | Sequence[Look] = 8,
) -> Picture:
    """Draw a picture of one big shape, as classification wants it.

    Args:
        seed: The data set's seed, 0 or more.
        split: ``'train'`` or ``'val'``.
        index: Number of the picture within its split and class, from 0.
        label: Index of the shape's class.
        size: Side or ``(height, width)`` in px.
        max_size: If given, each side is drawn between ``size`` and this.
        classes: As :func:`parse_classes` takes or returns them.

    Returns:
        The picture, the same for the same arguments.

    Raises:
        ValueError: If an argument is wrong; the message names it.
    """
    looks = _as_looks(classes)
    label = whole_number('label', label, 0, len(looks) - 1)
    rng = _generator(seed, split, index, label)
    shape = _draw_size(rng, *parse_sizes(size, max_size))
    return _draw(rng, shape, looks, [label], SINGLE_SCALES)


def _as_looks(classes: int | Sequence[str] | Sequence[Look]) -> tuple[Look, ...]:
    if isinstance(classes, tuple) and all(isinstance(c, Look) for c in classes):
        return classes
    return parse_classes(classes)


def _generator(seed: int, split: str, index: int, *more: int) -> np.random.Generator:
    """A generator of its own for each picture."""
    if split not in SPLITS:
        raise ValueError(f'split={split!r}: one of {", ".join(SPLITS)} is needed')
    seed = whole_number('seed', seed, 0, 2**32 - 1)
    index = whole_number('index', index, 0, 2**32 - 1)
    # The length tells (1, 2) from (1, 2, 0), which SeedSequence takes for the same.
    key = [seed, SPLITS.index(split), index, len(more), *more]
    return np.random.default_rng(key)


def _draw_size(
    rng: np.random.Generator, low: tuple[int, int], high: tuple[int, int]
) -> tuple[int, int]:
    height, width = (int(rng.integers(a, b + 1)) for a, b in zip(low, high))
    return height, width


def _draw(
    rng: np.random.Generator,
    shape: tuple[int, int],
    looks: Sequence[Look],
    labels: Sequence[int],
    scales: tuple[float, float],
) -> Picture:
    image = background(rng, shape)
    placed = place_shapes(rng, shape, looks, labels, scales)
    for item in placed:
        paint(rng, image, item, looks[item.label])
    return Picture(
        image=photograph(rng, image),
        instances=tuple(_instance(item, shape) for item in placed),
    )


def _instance(item: Placed, shape: tuple[int, int]) -> Instance:
    mask = np.zeros(shape, bool)
    mask[item.window] = item.visible
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    bbox = (x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)
    return Instance(item.label, mask, bbox, int(mask.sum()))
