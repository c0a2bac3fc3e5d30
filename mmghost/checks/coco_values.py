"""What can stand in the entries of a COCO file: numbers, ids, boxes, polygons, RLE."""

import sys
from typing import Any

import numpy as np

# Whoever fills a polygon walks along its outline pixel by pixel.
_FARTHEST = 1e6  # px
_BITS = 5  # that a character of a compressed RLE holds


def is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def is_id(value: Any) -> bool:
    """Whether a value can be an id: the readers look them up, and sort them."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def is_box(value: Any) -> bool:
    """Whether a value is a list of four numbers."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def is_inside(box: list[float], size: tuple[float, float]) -> bool:
    """Whether a box (x, y, width, height) has a px in a picture (width, height)."""
    inside = min(box[0] + box[2], size[0]) > max(box[0], 0)
    inside &= min(box[1] + box[3], size[1]) > max(box[1], 0)
    return inside and box[2] >= 1 and box[3] >= 1


def is_polygons(value: Any) -> bool:
    """Whether a value is a list of polygons, [x1, y1, x2, y2, x3, y3, ...] each."""
    return isinstance(value, list) and all(
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and all(is_number(number) and abs(number) <= _FARTHEST for number in polygon)
        for polygon in value
    )


def is_rle(value: Any, size: tuple[float, float]) -> bool:
    """Whether a value is an RLE that fills a picture, compressed or as a list.

    Args:
        value: The value.
        size: Width and height of the picture, in px.
    """
    if not isinstance(value, dict) or value.get('size') != [size[1], size[0]]:
        return False
    counts = value.get('counts')
    if isinstance(counts, str):
        counts = _decompressed(counts)
    return (
        isinstance(counts, list)
        and all(is_number(count) and count >= 0 == count % 1 for count in counts)
        and sum(counts) == size[0] * size[1]
    )


def _decompressed(text: str) -> list[int] | None:
    """Decompress the counts of an RLE; None where they are cut short or no such text.

    The form is that of pycocotools: a number is written five bits a character, the lowest
    ones first and behind '0' (48); the sixth bit says that more follow. From the fourth on,
    it is the difference to the last but one.
    """
    if not text.isascii():
        return None
    codes = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    ends = np.flatnonzero(~codes & 32)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() * _BITS > 60:  # larger than any picture, and than an int64
        return None
    shifts = _BITS * (np.arange(len(codes)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((codes & 31) << shifts, starts)
    # The sign is the highest of the bits.
    numbers -= np.where(codes[ends] & 16, 1 << (_BITS * lengths), 0)
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers.tolist()
