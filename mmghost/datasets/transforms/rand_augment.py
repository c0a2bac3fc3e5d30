"""RandAugment as the authors' ImageNet recipe has it: timm's ``rand-m9-mstd0.5``."""

import random
from collections.abc import Callable, Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageEnhance, ImageOps

from ...registry import TRANSFORMS, register

Colour = tuple[int, ...]
INTERPOLATIONS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
MAX_MAGNITUDE = 10


@register(TRANSFORMS)
class TimmRandAugment(BaseTransform):
    """Change a picture by a few operations, drawn and measured as timm does.

    Its draws come from ``random`` and ``numpy.random`` in timm's order: from the same
    seeds both give the same pixels. mmpretrain's RandAugment has another list (timm's
    ``inc1``, whose operations do more the higher the magnitude) and OpenCV's
    arithmetic.

    Required and modified key: ``img``, BGR, 8 bit.

    Args:
        magnitude: Strength, 0 to 10.
        magnitude_std: Standard deviation of the strength, drawn for every operation.
        num_ops: Operations a picture, drawn with replacement.
        prob: Probability that an operation that was drawn is done.
        fill: Colour (RGB) of what shears, shifts and rotations uncover.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        magnitude: float = 9,
        magnitude_std: float = 0.5,
        num_ops: int = 2,
        prob: float = 0.5,
        fill: Sequence[int] = (124, 116, 104),
    ) -> None:
        if not 0 <= magnitude <= MAX_MAGNITUDE:
            raise ValueError(f'magnitude={magnitude}: 0 to {MAX_MAGNITUDE} fit')
        if magnitude_std < 0:
            raise ValueError(f'magnitude_std={magnitude_std}: it must not be negative')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob}: 0 to 1 fit')
        self.magnitude = magnitude
        self.magnitude_std = magnitude_std
        self.num_ops = num_ops
        self.prob = prob
        self.fill = tuple(fill)

    def transform(self, results: dict) -> dict:
        """Change ``results['img']``."""
        image = None
        for index in np.random.choice(len(OPERATIONS), self.num_ops):
            if self.prob < 1 and random.random() > self.prob:
                continue
            level = self.magnitude
            if self.magnitude_std:
                level = random.gauss(level, self.magnitude_std)
            level = max(0.0, min(level, MAX_MAGNITUDE)) / MAX_MAGNITUDE
            if image is None:
                image = Image.fromarray(np.ascontiguousarray(results['img'][..., ::-1]))
            image = OPERATIONS[index](image, level, self.fill)
        if image is not None:
            results['img'] = np.asarray(image)[..., ::-1]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(magnitude={self.magnitude}, '
            f'magnitude_std={self.magnitude_std}, num_ops={self.num_ops}, '
            f'prob={self.prob}, fill={self.fill})'
        )


# The operations take a picture, a level between 0 and 1, and the fill colour.
Operation = Callable[[Image.Image, float, Colour], Image.Image]


def auto_contrast(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Stretch every channel to 0..255, at any level."""
    return ImageOps.autocontrast(image)


def equalize(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Flatten every channel's histogram, at any level."""
    return ImageOps.equalize(image)


def invert(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Invert all values, at any level."""
    return ImageOps.invert(image)


def rotate(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Rotate by up to 30 degrees."""
    degrees = _either_way(level * 30)
    return image.rotate(degrees, resample=_interpolation(), fillcolor=fill)


def posterize(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Keep 1 to 4 bits of every value: the fewer, the lower the level."""
    # timm asks for 0 bits where the level is below 0.25, which Pillow refuses.
    return ImageOps.posterize(image, max(1, int(level * 4)))


def solarize(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Invert values from a threshold up: the more, the lower the level."""
    return ImageOps.solarize(image, int(level * 256))


def solarize_add(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Add up to 110 to values below 128."""
    add = int(level * 110)
    table = [min(255, value + add) if value < 128 else value for value in range(256)]
    return image.point(table * len(image.getbands()))


def enhancer(kind: type) -> Operation:
    """Make an operation of one of Pillow's enhancers, with factor 0.1 to 1.9."""

    def enhance(image: Image.Image, level: float, fill: Colour) -> Image.Image:
        return kind(image).enhance(level * 1.8 + 0.1)

    return enhance


def shear_x(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Shear horizontally by up to 0.3."""
    return _affine(image, (1, _either_way(level * 0.3), 0, 0, 1, 0), fill)


def shear_y(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Shear vertically by up to 0.3."""
    return _affine(image, (1, 0, 0, _either_way(level * 0.3), 1, 0), fill)


def translate_x(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Shift horizontally by up to 45 % of the width."""
    shift = _either_way(level * 0.45) * image.width
    return _affine(image, (1, 0, shift, 0, 1, 0), fill)


def translate_y(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Shift vertically by up to 45 % of the height."""
    shift = _either_way(level * 0.45) * image.height
    return _affine(image, (1, 0, 0, 0, 1, shift), fill)


def _either_way(value: float) -> float:
    return -value if random.random() > 0.5 else value


def _interpolation() -> Image.Resampling:
    return random.choice(INTERPOLATIONS)


def _affine(image: Image.Image, matrix: tuple, fill: Colour) -> Image.Image:
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        matrix,
        resample=_interpolation(),
        fillcolor=fill,
    )


# In timm's order, for an operation is drawn by its number.
OPERATIONS: tuple[Operation, ...] = (
    auto_contrast,
    equalize,
    invert,
    rotate,
    posterize,
    solarize,
    solarize_add,
    enhancer(ImageEnhance.Color),
    enhancer(ImageEnhance.Contrast),
    enhancer(ImageEnhance.Brightness),
    enhancer(ImageEnhance.Sharpness),
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)
