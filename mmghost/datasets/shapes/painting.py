"""Colour of Shapes: grounds, strokes, the filling of shapes, and a camera's noise.

Colours and patterns are drawn without regard to the kind of shape, so that only its
outline gives it away.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from .classes import HUES, PATTERNS, Look
from .placing import Placed

MIN_CONTRAST = 80  # distance in BGR of a shape's colours from what lies behind it
TRIES = 8  # colours tried for the contrast


def _colour(rng: np.random.Generator, hue: str | None) -> np.ndarray:
    """A colour, BGR float32 in 0..255; of a hue if one is asked for."""
    if hue is None:
        return rng.uniform(0, 255, 3).astype(np.float32)
    degrees = (HUES[hue] + rng.uniform(-8, 8)) % 360
    hsv = (degrees, rng.uniform(0.65, 1), rng.uniform(0.5, 1))
    return cv2.cvtColor(np.float32([[hsv]]), cv2.COLOR_HSV2BGR)[0, 0] * 255


def _contrasting(
    rng: np.random.Generator, hue: str | None, others: Sequence[np.ndarray]
) -> np.ndarray:
    """A colour far enough from others, or the farthest of several."""
    best, best_distance = None, -1.0
    for _ in range(TRIES):
        colour = _colour(rng, hue)
        distance = min(float(np.linalg.norm(colour - other)) for other in others)
        if distance > best_distance:
            best, best_distance = colour, distance
        if distance >= MIN_CONTRAST:
            break
    return best


def _pattern(
    rng: np.random.Generator,
    window: tuple[slice, slice],
    centre: tuple[float, float],
    period: float,
    name: str,
) -> np.ndarray:
    """Where a pattern's second colour shows in a window, ``(h, w)`` bool."""
    rows, columns = window
    x = (np.arange(columns.start, columns.stop, dtype=np.float32) - centre[0]) / period
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) - centre[1]) / period
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    shift_u, shift_v = (np.float32(s) for s in rng.uniform(0, 1, 2))
    u = cos * x[None, :] + sin * y[:, None] + shift_u
    v = cos * y[:, None] - sin * x[None, :] + shift_v
    return PATTERNS[name](u, v)


def _random_pattern(rng: np.random.Generator) -> str:
    return list(PATTERNS)[rng.integers(len(PATTERNS))]


def background(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A coloured, patterned ground with strokes, ``(H, W, 3)`` float32 BGR."""
    height, width = shape
    cells = rng.integers(2, 7)
    # Muted against the shapes, or a small network needs hours to find them.
    coarse = rng.uniform(50, 205, (cells, cells, 1)) + rng.uniform(
        -40, 40, (cells, cells, 3)
    )
    coarse = coarse.astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    # The same patterns as the shapes have: a pattern alone does not give them away.
    window = (slice(0, height), slice(0, width))
    period = min(shape) * rng.uniform(0.06, 0.25)
    shown = _pattern(rng, window, (0.0, 0.0), period, _random_pattern(rng))
    image[shown] += rng.uniform(-30, 30, 3).astype(np.float32)
    image = np.clip(image, 0, 255)
    for _ in range(rng.integers(2, 9)):
        _stroke(rng, image)
    return image


def _stroke(rng: np.random.Generator, image: np.ndarray) -> None:
    """Add a thin line or open arc, which is no shape and has no label."""
    height, width = image.shape[:2]
    side = min(height, width)
    colour = tuple(float(c) for c in _colour(rng, None))
    thickness = int(rng.integers(1, max(2, side // 50) + 1))
    centre = (int(rng.integers(width)), int(rng.integers(height)))
    if rng.random() < 0.5:
        axes = tuple(int(a) for a in rng.uniform(0.05, 0.4, 2) * side)
        start, extent = rng.uniform(0, 360), rng.uniform(40, 250)
        turn = rng.uniform(0, 360)
        cv2.ellipse(image, centre, axes, turn, start, start + extent, colour, thickness)
    else:
        steps = rng.uniform(-0.3, 0.3, (rng.integers(1, 4), 2)) * side
        points = np.cumsum(np.concatenate([[centre], steps]), axis=0)
        cv2.polylines(
            image, [np.rint(points).astype(np.int32)], False, colour, thickness
        )


def paint(
    rng: np.random.Generator, image: np.ndarray, item: Placed, look: Look
) -> None:
    """Paint a shape over what is behind it."""
    ground = image[item.window]
    behind = ground[item.visible].mean(axis=0)
    first = _contrasting(rng, look.hue, [behind])
    second = _contrasting(rng, look.hue, [behind, first])
    pattern = look.pattern or _random_pattern(rng)
    period = max(2 * item.radius / rng.uniform(3, 6), 4)  # px
    shown = _pattern(rng, item.window, item.centre, period, pattern)
    fill = np.where(shown[:, :, None], second, first)

    # A soft light from one side.
    height, width = shown.shape
    slope_x, slope_y = rng.uniform(-0.25, 0.25, 2)
    light_x = np.linspace(-slope_x, slope_x, width, dtype=np.float32)
    light_y = np.linspace(-slope_y, slope_y, height, dtype=np.float32)
    fill *= (1 + light_x[None, :] + light_y[:, None])[:, :, None]

    alpha = item.alpha[:, :, None]
    ground += alpha * (np.clip(fill, 0, 255) - ground)


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Blur a little and add noise, as a camera does; to uint8."""
    sigma = rng.uniform(0, 0.9)
    if sigma > 0.3:
        image = cv2.GaussianBlur(image, (5, 5), sigma)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + np.float32(rng.uniform(2, 12)) * noise
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
