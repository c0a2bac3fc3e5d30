"""Where the shapes of a picture go, and what is to be seen of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .classes import KINDS, Look

MIN_VISIBLE = 0.5  # a shape of which less is to be seen is left out
MIN_PIXELS = 24
SMALLEST_DIAMETER = 12  # px
TRIES = 8  # places tried for a shape before it is left out
SUPERSAMPLING = 4


@dataclass
class Placed:
    """A shape that has its place: the window of the picture that it lies in."""

    label: int
    centre: tuple[float, float]
    radius: float
    window: tuple[slice, slice]
    alpha: np.ndarray  # coverage of the window's pixels, float32
    visible: np.ndarray  # the window's pixels where nothing hides it, bool


def place_shapes(
    rng: np.random.Generator,
    shape: tuple[int, int],
    looks: Sequence[Look],
    labels: Sequence[int],
    scales: tuple[float, float],
) -> list[Placed]:
    """Find places for shapes, front to back, and return them from back to front.

    A shape of which too little would be seen gets other places, and is left out in
    the end, so that nothing is painted that has no label.
    """
    hidden = np.zeros(shape, bool)
    placed = []
    for label in labels:
        outlines = KINDS[looks[label].kind]
        for _ in range(TRIES):
            item = _try_place(rng, hidden, int(label), outlines, scales)
            if item is not None:
                break
        if item is None and not placed:  # a picture always has one shape at least
            item = _try_place(rng, hidden, int(label), outlines, scales, centred=True)
        if item is not None:
            hidden[item.window] |= item.visible
            placed.append(item)
    return placed[::-1]


def _try_place(
    rng: np.random.Generator,
    hidden: np.ndarray,
    label: int,
    outlines: Sequence[np.ndarray],
    scales: tuple[float, float],
    centred: bool = False,
) -> Placed | None:
    height, width = hidden.shape
    side = min(height, width)
    low, high = (math.log(max(s * side, SMALLEST_DIAMETER)) for s in scales)
    radius = math.exp(rng.uniform(low, high)) / 2
    angle = rng.uniform(0, 2 * math.pi)
    stretch = math.exp(rng.uniform(-0.16, 0.16))
    # Up to a third of the radius may lie outside of the picture on either side.
    x, y = (rng.uniform(0.67 * radius, n - 0.67 * radius) for n in (width, height))
    if centred:
        x, y = width / 2, height / 2

    cos, sin = radius * math.cos(angle), radius * math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    scale = np.array([stretch, 1 / stretch])
    points = [(outline * scale) @ turn + (x, y) for outline in outlines]
    corners = np.concatenate(points)
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + 1
    window = (slice(y0, min(y1, height)), slice(x0, min(x1, width)))

    alpha = _coverage(points, window)
    visible = (alpha >= 0.5) & ~hidden[window]
    whole = abs(sum(_signed_area(p) * (-1) ** i for i, p in enumerate(points)))
    if visible.sum() < max(MIN_VISIBLE * whole, MIN_PIXELS):
        return None
    return Placed(label, (x, y), radius, window, alpha, visible)


def _signed_area(points: np.ndarray) -> float:
    """Area within an outline, px (shoelace formula)."""
    x, y = points.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _coverage(points: Sequence[np.ndarray], window: tuple[slice, slice]) -> np.ndarray:
    """How much of each pixel of a window lies inside outlines, float32 in 0..1."""
    rows, columns = window
    height, width = rows.stop - rows.start, columns.stop - columns.start
    fine = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    # Half a fine pixel less, because OpenCV's coordinates are those of centres.
    offset = (columns.start, rows.start)
    fine_points = [
        np.rint((p - offset) * SUPERSAMPLING - 0.5).astype(np.int32) for p in points
    ]
    cv2.fillPoly(fine, fine_points, 255)
    coarse = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return coarse.astype(np.float32) / 255
