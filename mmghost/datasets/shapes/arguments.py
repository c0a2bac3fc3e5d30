"""Checks of the arguments that describe the pictures of Shapes."""

from collections.abc import Sequence

import numpy as np

SIDES = (32, 8192)  # px, the sides that a picture may have
MOST_SHAPES = 50  # a picture


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """Return ``value`` if it is a whole number from ``low`` to ``high``.

    Raises:
        ValueError: If it is not; the message names it, its value and the range.
    """
    is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_int or not low <= value <= high:
        raise ValueError(f'{name}={value!r}: a whole number from {low} to {high} fits')
    return int(value)


def parse_size(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    """Turn a side or ``(height, width)`` in px into the latter.

    Raises:
        ValueError: If it is neither, or a side is outside of 32 to 8192 px.
    """
    sides = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    if len(sides) != 2:
        raise ValueError(f'{name}={size!r}: one side or (height, width) is needed')
    height, width = (whole_number(name, side, *SIDES) for side in sides)
    return height, width


def parse_sizes(
    size: int | Sequence[int], max_size: int | Sequence[int] | None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Check a range of sizes; without ``max_size`` it is a single one.

    Raises:
        ValueError: If a size is wrong or the largest is below the smallest.
    """
    low = parse_size('size', size)
    high = low if max_size is None else parse_size('max_size', max_size)
    if high[0] < low[0] or high[1] < low[1]:
        raise ValueError(f'max_size={max_size}: it must not be below size={size}')
    return low, high


def parse_objects(objects: int | Sequence[int]) -> tuple[int, int]:
    """Turn a number of shapes or ``(least, most)`` into the latter.

    Raises:
        ValueError: If it is neither, or outside of 1 to 50.
    """
    pair = tuple(objects) if isinstance(objects, (list, tuple)) else (objects, objects)
    if len(pair) != 2:
        raise ValueError(f'objects={objects!r}: a number or (least, most) is needed')
    least, most = (whole_number('objects', n, 1, MOST_SHAPES) for n in pair)
    if least > most:
        raise ValueError(f'objects={objects}: the least is above the most')
    return least, most
