"""Resizing pictures as OpenCV does, in NumPy.

The toolboxes resize with OpenCV, which samples without smoothing; Pillow smooths. A
detector notices the difference, so a picture must be resized here as it was in training.
"""

from collections.abc import Callable

import numpy as np

BITS = 11  # OpenCV's fixed-point weights of bytes: INTER_RESIZE_COEF_BITS


def resize(picture: np.ndarray, width: int, height: int, how: str) -> np.ndarray:
    """Resize as ``cv2.resize`` does.

    Args:
        picture: Bytes, (H, W, 3).
        width: New width in px.
        height: New height in px.
        how: ``'nearest'`` and ``'bilinear'``, equal to OpenCV's bit by bit, or
            ``'bicubic'``, where single pixels may be off by one of 255 grey levels.

    Returns:
        Bytes, (height, width, 3).

    Raises:
        ValueError: For another ``how``.
    """
    if how not in WAYS:
        raise ValueError(f'interpolation {how!r}: known are {", ".join(WAYS)}')
    if picture.shape[:2] == (height, width):
        return picture.copy()
    return WAYS[how](picture, width, height)


def _nearest(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    rows, columns = (
        np.minimum((np.arange(new) * (old / new)).astype(int), old - 1)
        for old, new in zip(picture.shape, (height, width))
    )
    return picture[rows][:, columns]


def _bilinear(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    if picture.shape[:2] == (2 * height, 2 * width):
        return _halved(picture)
    old_height, old_width = picture.shape[:2]
    left, part = _positions(old_width, width)
    part = np.where((left < 0) | (left >= old_width - 1), np.float32(0), part)
    a, b = _fixed(1 - part)[:, None], _fixed(part)[:, None]
    source = picture.astype(np.int32)
    lines = source[:, left.clip(0, old_width - 1)] * a
    lines += source[:, (left + 1).clip(0, old_width - 1)] * b

    top, part = _positions(old_height, height)
    a, b = _fixed(1 - part)[:, None, None], _fixed(part)[:, None, None]
    # The rounding of OpenCV's vertical pass: 4 bits are dropped before the weight, 16
    # after it and the last 2 at the end.
    lines >>= 4
    upper = (lines[top.clip(0, old_height - 1)] * a) >> 16
    lower = (lines[(top + 1).clip(0, old_height - 1)] * b) >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def _halved(picture: np.ndarray) -> np.ndarray:
    """Averages of 2x2 pixels: what OpenCV's bilinear resizing to the half really does."""
    pixels = picture.astype(np.uint16)
    lines = pixels[::2] + pixels[1::2]
    return ((lines[:, ::2] + lines[:, 1::2] + 2) >> 2).astype(np.uint8)


def _bicubic(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    rows, columns = (
        _cubic_taps(old, new) for old, new in zip(picture.shape, (height, width))
    )
    source = picture.astype(np.float32)
    lines = sum(source[:, place] * weight[:, None] for place, weight in columns)
    pixels = sum(lines[place] * weight[:, None, None] for place, weight in rows)
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


def _cubic_taps(old: int, new: int) -> list[tuple[np.ndarray, np.ndarray]]:
    first, x = _positions(old, new)
    a = np.float32(-0.75)

    def far(t: np.ndarray) -> np.ndarray:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    def near(t: np.ndarray) -> np.ndarray:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    weights = [far(x + 1), near(x), near(1 - x)]
    weights.append(1 - sum(weights))
    return [
        ((first + offset).clip(0, old - 1), weight)
        for offset, weight in zip(range(-1, 3), weights)
    ]


def _positions(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Where new pixels lie between the old ones: the one before, and the part beyond."""
    scale = 1.0 / (new / old)  # OpenCV inverts the factor, and rounds so
    place = ((np.arange(new) + 0.5) * scale - 0.5).astype(np.float32)
    before = np.floor(place)
    return before.astype(int), place - before


def _fixed(weight: np.ndarray) -> np.ndarray:
    return np.rint(weight * np.float32(1 << BITS)).astype(np.int32)


WAYS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    'nearest': _nearest,
    'bilinear': _bilinear,
    'bicubic': _bicubic,
}
