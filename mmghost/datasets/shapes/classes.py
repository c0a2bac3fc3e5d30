"""The classes of Shapes: kinds of shape, the patterns and the hues they come in."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Look(NamedTuple):
    """What makes a class: its kind of shape and, where set, its pattern and hue."""

    kind: str
    pattern: str | None = None
    hue: str | None = None

    @property
    def name(self) -> str:
        """The class's name, such as ``star`` or ``red-striped-star``."""
        return '-'.join(part for part in reversed(self) if part)


# -- kinds: closed outlines inside the unit circle, filled by the even-odd rule ---------


def _arc(radius: float, start: float, stop: float, x: float = 0.0) -> np.ndarray:
    """Points of an arc around ``(x, 0)``; angles in degrees."""
    angles = np.radians(np.linspace(start, stop, 65))
    return np.stack([x + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _polygon(corners: int, inner: float | None = None) -> np.ndarray:
    """A regular polygon, or a star whose inner corners lie at the radius ``inner``."""
    count = corners if inner is None else 2 * corners
    angles = 2 * np.pi * np.arange(count) / count
    radii = np.ones(count)
    if inner is not None:
        radii[1::2] = inner
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 96)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, y + 2], axis=1) / 17


def _crescent() -> np.ndarray:
    # The unit circle less a circle of radius 0.8 around (0.5, 0).
    tip_x = (1 + 0.5**2 - 0.8**2) / (2 * 0.5)
    outer = math.degrees(math.acos(tip_x))
    inner = math.degrees(math.acos((tip_x - 0.5) / 0.8))
    return np.concatenate(
        [_arc(1, outer, 360 - outer), _arc(0.8, 360 - inner, inner, x=0.5)]
    )


# Rows of x and of y.
_CROSS = np.array(
    [
        [3, 1, 1, -1, -1, -3, -3, -1, -1, 1, 1, 3],
        [1, 1, 3, 3, 1, 1, -1, -1, -3, -3, -1, -1],
    ]
).T / math.hypot(3, 1)
_ARROW = np.array(
    [
        [1, 0.1, 0.1, -0.9, -0.9, 0.1, 0.1],
        [0, 0.85, 0.35, 0.35, -0.35, -0.35, -0.85],
    ]
).T

# The first eight are the default classes.
KINDS: dict[str, tuple[np.ndarray, ...]] = {
    'circle': (_arc(1, 0, 360),),
    'square': (_polygon(4),),
    'triangle': (_polygon(3),),
    'star': (_polygon(5, inner=0.42),),
    'cross': (_CROSS,),
    'ring': (_arc(1, 0, 360), _arc(0.55, 0, 360)),
    'crescent': (_crescent(),),
    'heart': (_heart(),),
    'arrow': (_ARROW,),
    'hexagon': (_polygon(6),),
}


# -- patterns: where the second of two colours shows, in units of the pattern's period --


def _fraction(x: np.ndarray) -> np.ndarray:
    return x - np.floor(x)


def _bricked(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    row = np.floor(v)
    return (_fraction(v) < 0.2) | (_fraction((u + row % 2) / 2) < 0.12)


def _blotched(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sin(4 * u + 2 * np.sin(3 * v)) + np.sin(3 * v + 2 * np.sin(4 * u)) > 0.3


PATTERNS = {
    'plain': lambda u, v: np.zeros(u.shape, bool),
    'striped': lambda u, v: _fraction(u) < 0.5,
    'checked': lambda u, v: (np.floor(u) + np.floor(v)) % 2 < 1,
    'dotted': lambda u, v: np.hypot(_fraction(u) - 0.5, _fraction(v) - 0.5) < 0.33,
    'gridded': lambda u, v: np.minimum(_fraction(u), _fraction(v)) < 0.25,
    'wavy': lambda u, v: _fraction(u + 0.3 * np.sin(4 * v)) < 0.5,
    'zigzag': lambda u, v: _fraction(u + 2 * np.abs(_fraction(v / 2) - 0.5)) < 0.5,
    'ringed': lambda u, v: _fraction(np.hypot(u, v)) < 0.5,
    'bricked': _bricked,
    'blotched': _blotched,
}

# Degrees on the colour circle.
HUES = {
    'red': 0,
    'orange': 36,
    'lime': 72,
    'green': 108,
    'mint': 144,
    'cyan': 180,
    'blue': 216,
    'indigo': 252,
    'purple': 288,
    'pink': 324,
}

MOST_CLASSES = len(KINDS) * len(PATTERNS) * len(HUES)


def parse_classes(classes: int | Sequence[str]) -> tuple[Look, ...]:
    """Turn a number of classes or their names into looks.

    Up to ten classes are kinds of shape, whatever their pattern and colour. More are
    kinds in a pattern (``striped-star``), and beyond a hundred kinds in a pattern and
    a hue (``red-striped-star``), so that labels can be told from the picture always.

    Args:
        classes: Number of classes, 1 to 1000, or their names, all of one form:
            ``kind``, ``pattern-kind`` or ``hue-pattern-kind``.

    Returns:
        One look a class in the alphabetical order of their names, in which
        mmpretrain numbers class folders too.

    Raises:
        ValueError: On another number, an unknown or repeated name or mixed forms.

    Example:
        >>> [look.name for look in parse_classes(3)]
        ['circle', 'square', 'triangle']
    """
    if isinstance(classes, int) and not isinstance(classes, bool):
        if not 1 <= classes <= MOST_CLASSES:
            raise ValueError(f'classes={classes}: 1 to {MOST_CLASSES} are possible')
        looks = [_nth_look(i, classes) for i in range(classes)]
    elif isinstance(classes, (list, tuple)) and classes:
        looks = [_parse_name(name) for name in classes]
        if len(set(looks)) != len(looks):
            raise ValueError(f'classes={classes}: a class is named twice')
        if len({look.name.count('-') for look in looks}) > 1:
            raise ValueError(
                f'classes={classes}: a kind and the same kind in a pattern or a hue '
                'cannot be told apart; give all of them one form'
            )
    else:
        raise ValueError(f'classes={classes!r}: a number or a list of names is needed')
    return tuple(sorted(looks, key=lambda look: look.name))


def _nth_look(index: int, count: int) -> Look:
    kinds, patterns, hues = list(KINDS), list(PATTERNS), list(HUES)
    pattern = hue = None
    if count > len(kinds):
        pattern = patterns[index // len(kinds) % len(patterns)]
    if count > len(kinds) * len(patterns):
        hue = hues[index // (len(kinds) * len(patterns))]
    return Look(kinds[index % len(kinds)], pattern, hue)


def _parse_name(name: str) -> Look:
    parts = str(name).split('-')[::-1]
    known = (KINDS, PATTERNS, HUES)
    if len(parts) > 3 or any(part not in table for part, table in zip(parts, known)):
        raise ValueError(
            f'classes: {name!r} is unknown; a kind is one of {", ".join(KINDS)}, '
            f'before it may stand a pattern ({", ".join(PATTERNS)}) and before that '
            f'a hue ({", ".join(HUES)}), as in red-striped-star'
        )
    return Look(*parts)
