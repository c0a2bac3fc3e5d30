"""The images of Shapes: textured shapes on a textured ground that hide one another.

Colors and patterns are drawn without regard to the kind of shape, so that only its
outline gives it away.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from .classes import HUES, KINDS, PATTERNS, parse_classes

SPLITS = ('train', 'val')
MOST_SHAPES = 6  # in an image; fewer where they find no place to be visible
MIN_VISIBLE = 0.7  # a shape of which less is visible is left out
MIN_PIXELS = 24
SMALLEST_DIAMETER = 12  # px
TRIES = 8  # places tried for a shape
# Diameters of shapes as shares of the shorter side: among others, and alone.
SCALES = {False: (0.25, 0.7), True: (0.45, 0.95)}


@dataclass(frozen=True)
class Instance:
    """One shape of an image.

    Attributes:
        label: Index of its class.
        mask: Where it is visible, ``(H, W)`` bool.
        bbox: Tight box around the mask, ``(x, y, width, height)`` in px.
    """

    label: int
    mask: np.ndarray
    bbox: tuple[int, int, int, int] = field(init=False)
    center: np.ndarray = field(repr=False)  # x, y
    radius: float = field(repr=False)
    coverage: np.ndarray = field(repr=False)  # of the pixels, hidden or not, 0 to 1

    def __post_init__(self) -> None:
        object.__setattr__(self, 'bbox', cv2.boundingRect(self.mask.view(np.uint8)))


@dataclass(frozen=True)
class Drawing:
    """An image and its shapes.

    Attributes:
        image: ``(H, W, 3)`` uint8, BGR.
        instances: The shapes from front to back; their masks do not overlap.
    """

    image: np.ndarray
    instances: tuple[Instance, ...]

    @property
    def semantic(self) -> np.ndarray:
        """Label map ``(H, W)`` uint8: 0 is the background, classes begin at 1."""
        labels = np.zeros(self.image.shape[:2], np.uint8)
        for instance in self.instances:
            labels[instance.mask] = instance.label + 1
        return labels


def draw_image(
    seed: int,
    split: str,
    index: int,
    size: int = 192,
    classes: int | Sequence[str] = 8,
    label: int | None = None,
    objects: tuple[int, int] = (1, MOST_SHAPES),
) -> Drawing:
    """Draw one image of Shapes; the same arguments give the same image.

    Args:
        seed: Seed of the dataset.
        split: ``'train'`` or ``'val'``.
        index: Number of the image in its split, and in its class if it has a label.
        size: Side of the image in px.
        classes: As :func:`parse_classes` takes them.
        label: Draw a single large shape of this class, as classification needs it.
        objects: Smallest and largest number of shapes, where there is no label.

    Returns:
        The image and its shapes.

    Example:
        >>> drawing = draw_image(seed=0, split='train', index=0)
        >>> drawing.image.shape, drawing.semantic.shape
        ((192, 192, 3), (192, 192))
    """
    single = label is not None
    key = [seed, SPLITS.index(split), index, int(single), label or 0]
    rng = np.random.default_rng(key)
    names = parse_classes(classes)
    count = rng.integers(objects[0], objects[1] + 1)
    labels = [label] if single else rng.integers(len(names), size=count).tolist()
    hidden = np.zeros((size, size), bool)
    instances: list[Instance] = []
    for each in labels:
        kind = names[each].split('-')[-1]
        for _ in range(TRIES):
            item = _place(rng, each, kind, hidden, SCALES[single])
            if item.mask.sum() >= max(MIN_VISIBLE * item.coverage.sum(), MIN_PIXELS):
                break
        else:  # it would hardly be visible anywhere
            if instances:
                continue
            item = _place(rng, each, kind, hidden, SCALES[True], centered=True)
        hidden |= item.mask
        instances.append(item)

    image = _background(rng, size)
    for item in reversed(instances):
        _paint(rng, image, item, names[item.label])
    if (sigma := rng.uniform(0, 0.9)) > 0.3:  # a camera's blur and noise
        image = cv2.GaussianBlur(image, (5, 5), sigma)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image += np.float32(rng.uniform(2, 12)) * noise
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return Drawing(image, tuple(instances))


def _place(
    rng: np.random.Generator,
    label: int,
    kind: str,
    hidden: np.ndarray,
    scales: tuple[float, float],
    centered: bool = False,
) -> Instance:
    """Place a shape of random size and turn behind those that are there."""
    size = len(hidden)
    low, high = (math.log(max(scale * size, SMALLEST_DIAMETER)) for scale in scales)
    radius = math.exp(rng.uniform(low, high)) / 2
    angle = rng.uniform(0, 2 * math.pi)
    stretch = math.exp(rng.uniform(-0.16, 0.16))
    # Up to a third of the radius may lie outside of the image on either side.
    center = rng.uniform(0.67 * radius, size - 0.67 * radius, 2)
    center = np.full(2, size / 2) if centered else center
    cos, sin = radius * math.cos(angle), radius * math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    points = [
        outline * (stretch, 1 / stretch) @ turn + center for outline in KINDS[kind]
    ]
    # With 4 fractional bits; OpenCV's coordinates are those of pixel centers.
    fixed = [np.rint((p - 0.5) * 16).astype(np.int32) for p in points]
    coverage = np.zeros(hidden.shape, np.uint8)
    cv2.fillPoly(coverage, fixed, 255, lineType=cv2.LINE_AA, shift=4)
    coverage = coverage.astype(np.float32) / 255
    return Instance(label, (coverage >= 0.5) & ~hidden, center, radius, coverage)


def _color(
    rng: np.random.Generator, hue: str | None, others: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Return the color, of a hue if given, that is farthest from others; BGR float32."""
    colors = rng.uniform(0, 255, (4, 3)).astype(np.float32)
    if hue is not None:
        hsv = rng.uniform((HUES[hue] - 8, 0.65, 0.5), (HUES[hue] + 8, 1, 1), (1, 4, 3))
        hsv[..., 0] %= 360
        colors = cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2BGR)[0] * 255
    distances = [np.linalg.norm(colors - other, axis=1) for other in others]
    return colors[np.min(distances, axis=0).argmax() if others else 0]


def _pattern(
    rng: np.random.Generator,
    shape: tuple[int, int],
    center: Sequence[float],
    period: float,
    name: str | None = None,
) -> np.ndarray:
    """Return where a pattern's second color shows, ``(H, W)`` bool."""
    name = name or list(PATTERNS)[rng.integers(len(PATTERNS))]
    x = (np.arange(shape[1], dtype=np.float32) - center[0]) / period
    y = (np.arange(shape[0], dtype=np.float32)[:, None] - center[1]) / period
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    shift_u, shift_v = rng.random(2, dtype=np.float32)
    return PATTERNS[name](cos * x + sin * y + shift_u, cos * y - sin * x + shift_v)


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a colored, patterned ground with strokes, ``(H, W, 3)`` float32 BGR."""
    cells = rng.integers(2, 7)
    # Muted against the shapes: otherwise a small network needs hours to find them.
    coarse = rng.uniform(50, 205, (cells, cells, 1))
    coarse = (coarse + rng.uniform(-40, 40, (cells, cells, 3))).astype(np.float32)
    image = cv2.resize(coarse, (size, size))
    # The patterns are those of the shapes: a pattern alone does not give them away.
    shown = _pattern(rng, (size, size), (0, 0), size * rng.uniform(0.06, 0.25))
    image[shown] += rng.uniform(-30, 30, 3).astype(np.float32)
    image = np.clip(image, 0, 255)
    for _ in range(rng.integers(2, 9)):  # thin lines and arcs, which have no label
        color = _color(rng, None).tolist()
        thickness = int(rng.integers(1, max(2, size // 50) + 1))
        start = rng.uniform(0, size, 2)
        if rng.random() < 0.5:
            axes = (rng.uniform(0.05, 0.4, 2) * size).astype(int)
            turn, begin, extent = rng.uniform((0, 0, 40), (360, 360, 250))
            angles = (turn, begin, begin + extent)
            cv2.ellipse(image, start.astype(int), axes, *angles, color, thickness)
        else:
            steps = rng.uniform(-0.3, 0.3, (rng.integers(1, 4), 2)) * size
            points = np.cumsum([start, *steps], axis=0).astype(np.int32)
            cv2.polylines(image, [points], False, color, thickness)
    return image


def _paint(
    rng: np.random.Generator, image: np.ndarray, item: Instance, name: str
) -> None:
    """Paint a shape over what is behind it."""
    hue, pattern, _ = (None, None, *name.split('-'))[-3:]
    x, y, width, height = cv2.boundingRect((item.coverage > 0).view(np.uint8))
    window = (slice(y, y + height), slice(x, x + width))
    ground = image[window]
    behind = ground[item.mask[window]].mean(axis=0)
    first = _color(rng, hue, [behind])
    second = _color(rng, hue, [behind, first])
    period = max(2 * item.radius / rng.uniform(3, 6), 4)  # px
    shown = _pattern(rng, (height, width), item.center - (x, y), period, pattern)
    fill = np.where(shown[:, :, None], second, first)
    # A soft light from one side.
    slope_x, slope_y = rng.uniform(-0.25, 0.25, 2)
    light_x = np.linspace(-slope_x, slope_x, width)
    light_y = np.linspace(-slope_y, slope_y, height)[:, None]
    fill = np.clip(fill * (1 + light_x + light_y)[:, :, None], 0, 255)
    ground += item.coverage[window][:, :, None] * (fill.astype(np.float32) - ground)
