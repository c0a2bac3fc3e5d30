"""The classes of Shapes: kinds of shape, and the patterns and hues they come in."""

import itertools
import math
from collections.abc import Sequence

import numpy as np


def _arc(radius: float, start: float, stop: float, x: float = 0.0) -> np.ndarray:
    """Return points of an arc around ``(x, 0)``; angles in degrees."""
    angles = np.radians(np.linspace(start, stop, 65))
    return np.stack([x + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _polygon(corners: int, inner: float = 1.0) -> np.ndarray:
    """Return a regular polygon; every second corner lies at the radius ``inner``."""
    angles = 2 * np.pi * np.arange(corners) / corners
    radii = np.where(np.arange(corners) % 2, inner, 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 96)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, y + 2], axis=1) / 17


def _crescent() -> np.ndarray:
    """Return the unit circle less a circle of radius 0.8 around (0.5, 0)."""
    tip_x = (1 + 0.5**2 - 0.8**2) / (2 * 0.5)
    outer = math.degrees(math.acos(tip_x))
    inner = math.degrees(math.acos((tip_x - 0.5) / 0.8))
    arcs = _arc(1, outer, 360 - outer), _arc(0.8, 360 - inner, inner, x=0.5)
    return np.concatenate(arcs)


_CROSS_X = [3, 1, 1, -1, -1, -3, -3, -1, -1, 1, 1, 3]
_CROSS_Y = [1, 1, 3, 3, 1, 1, -1, -1, -3, -3, -1, -1]
_ARROW_X = [1, 0.1, 0.1, -0.9, -0.9, 0.1, 0.1]
_ARROW_Y = [0, 0.85, 0.35, 0.35, -0.35, -0.35, -0.85]

# Closed outlines in the unit circle, filled by the even-odd rule. The first eight are
# the default classes.
KINDS: dict[str, tuple[np.ndarray, ...]] = {
    'circle': (_arc(1, 0, 360),),
    'square': (_polygon(4),),
    'triangle': (_polygon(3),),
    'star': (_polygon(10, inner=0.42),),
    'cross': (np.stack([_CROSS_X, _CROSS_Y], axis=1) / math.hypot(3, 1),),
    'ring': (_arc(1, 0, 360), _arc(0.55, 0, 360)),
    'crescent': (_crescent(),),
    'heart': (_heart(),),
    'arrow': (np.stack([_ARROW_X, _ARROW_Y], axis=1),),
    'hexagon': (_polygon(6),),
}
# Where the second of two colors shows, in units of the pattern's period.
PATTERNS = {
    'plain': lambda u, v: np.zeros(u.shape, bool),
    'striped': lambda u, v: u % 1 < 0.5,
    'checked': lambda u, v: (np.floor(u) + np.floor(v)) % 2 < 1,
    'dotted': lambda u, v: np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.33,
    'gridded': lambda u, v: np.minimum(u % 1, v % 1) < 0.25,
    'wavy': lambda u, v: (u + 0.3 * np.sin(4 * v)) % 1 < 0.5,
    'zigzag': lambda u, v: (u + 2 * np.abs(v / 2 % 1 - 0.5)) % 1 < 0.5,
    'ringed': lambda u, v: np.hypot(u, v) % 1 < 0.5,
    'bricked': lambda u, v: (v % 1 < 0.2) | ((u + np.floor(v) % 2) / 2 % 1 < 0.12),
    'blotched': lambda u, v: np.sin(4 * u + 2 * np.sin(3 * v)) > 0.2,
}
# Degrees on the color circle.
HUES = dict(red=0, orange=36, lime=72, green=108, mint=144, cyan=180, blue=216)
HUES |= dict(indigo=252, purple=288, pink=324)


def parse_classes(classes: int | Sequence[str]) -> tuple[str, ...]:
    """Return the sorted names of the classes.

    Up to ten classes are kinds of shape in any pattern and color, up to a hundred
    kinds in a pattern (``striped-star``), and more kinds in a pattern and a hue
    (``red-striped-star``), so that an image always shows its class.

    Args:
        classes: Number of classes, 1 to 1000, or their names.

    Raises:
        ValueError: If the number is out of range, or a name is unknown, repeated or
            of another form than the others.

    Example:
        >>> parse_classes(3)
        ('circle', 'square', 'triangle')
    """
    if isinstance(classes, int):
        if not 1 <= classes <= 1000:
            raise ValueError(f'classes={classes}: must be in 1 to 1000')
        tables = [KINDS, PATTERNS, HUES][: len(str(classes - 1))]
        names = itertools.islice(itertools.product(*reversed(tables)), classes)
        return tuple(sorted('-'.join(words) for words in names))
    for name in classes:
        words = name.split('-')[::-1]
        tables = zip(words, (KINDS, PATTERNS, HUES))
        if len(words) > 3 or not all(word in table for word, table in tables):
            raise ValueError(
                f'classes: {name!r} is unknown; a name is [[hue-]pattern-]kind: kinds are '
                f'{", ".join(KINDS)}, patterns {", ".join(PATTERNS)}, hues '
                f'{", ".join(HUES)}'
            )
    forms = {name.count('-') for name in classes}
    if len(set(classes)) < len(classes) or len(forms) != 1:
        raise ValueError(
            f'classes={classes}: must be different names of one form, such as star, '
            'striped-star or red-striped-star'
        )
    return tuple(sorted(classes))
