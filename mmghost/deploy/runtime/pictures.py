"""From a picture's file to the network's input, by the steps that a file's facts name.

A step is a dict with ``op`` and its settings; sizes are in px, widths before heights as
in OpenMMLab's configs:

- ``resize``: ``scale`` (a width and a height), ``keep_ratio``, ``interpolation``,
  ``backend`` (``'cv2'`` or ``'pillow'``); with ``keep_ratio`` as large as fits into
  ``scale``, whichever way round;
- ``resize_by``: ``factor`` in place of ``scale``;
- ``resize_edge``: ``scale`` (one number), ``edge`` (``'short'``, ``'long'``,
  ``'width'`` or ``'height'``);
- ``center_crop``: ``size`` (a width and a height);
- ``pad``: ``size`` or ``divisor``, and ``value``, on the right and at the bottom.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .facts import Facts, FileFault
from .resizing import resize

_PILLOW = {
    'nearest': Image.Resampling.NEAREST,
    'bilinear': Image.Resampling.BILINEAR,
    'bicubic': Image.Resampling.BICUBIC,
    'box': Image.Resampling.BOX,
    'lanczos': Image.Resampling.LANCZOS,
    'hamming': Image.Resampling.HAMMING,
}


@dataclass(frozen=True)
class Prepared:
    """A picture on its way into the network.

    Args:
        pixels: (3, H, W), float32: normalised and padded.
        image_size: Height and width before the padding of :class:`Facts`.
        original_size: Height and width of the picture.
        scale_factor: How many times wider and higher the steps made it.
    """

    pixels: np.ndarray
    image_size: tuple[int, int]
    original_size: tuple[int, int]
    scale_factor: tuple[float, float]


def read_picture(path: str | os.PathLike, orientation: bool = True) -> np.ndarray:
    """Read a picture as RGB bytes (H, W, 3).

    Args:
        path: The file.
        orientation: Whether it is turned as its EXIF data say, see :class:`Facts`.

    Raises:
        FileFault: If it is missing, damaged or no picture.
    """
    try:
        with Image.open(path) as file:
            if file.mode.startswith('I;16'):  # as OpenCV: the upper byte
                deep = np.asarray(file).astype(np.uint16) >> 8
                return np.repeat(deep.astype(np.uint8)[..., None], 3, axis=2)
            turned = ImageOps.exif_transpose(file) if orientation else file
            return np.array(turned.convert('RGB'))
    except UnidentifiedImageError:
        raise FileFault(f'{path} is not a picture') from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        words = getattr(error, 'strerror', None) or str(error)
        raise FileFault(f'{path} cannot be read: {words}') from None


def prepare(picture: np.ndarray, facts: Facts) -> Prepared:
    """Make the network's input of a picture.

    Args:
        picture: RGB bytes, (H, W, 3).
        facts: What the exported file says.

    Returns:
        The input and what is needed to find the way back.

    Raises:
        FileFault: If the picture is too small or too large for the file, or this
            runtime is too old for it.
    """
    original = picture.shape[:2]
    factor = np.ones(2)
    for step in facts.steps:
        if step.get('op') not in OPS:
            raise FileFault(
                f'the file asks for the step {step.get("op")!r}, which this runtime does '
                f'not know (it does {", ".join(OPS)}): take the runtime of mmghost '
                f'{facts.origin.get("mmghost", "")}'.rstrip()
            )
        picture, factor = OPS[step['op']](picture, factor, step)
    size = picture.shape[:2]
    pixels = picture if facts.channels == 'RGB' else picture[..., ::-1]
    pixels = pixels.transpose(2, 0, 1).astype(np.float32)
    pixels -= np.float32(facts.mean)[:, None, None]
    pixels /= np.float32(facts.std)[:, None, None]
    target = [-(-side // facts.pad_divisor) * facts.pad_divisor for side in size]
    if facts.size is not None:
        if any(side > limit for side, limit in zip(size, facts.size)):
            raise FileFault(
                f'the file takes {facts.size[0]}x{facts.size[1]} px (height x width) '
                f'only, and the picture is {size[0]}x{size[1]} px after its steps: '
                'export it without --fixed, or with a larger --size'
            )
        target = facts.size
    if min(target) < facts.least_side:
        raise FileFault(
            f'the picture is {target[0]}x{target[1]} px (height x width) where the '
            f'network begins; the file is right from {facts.least_side} px up'
        )
    grow = [(0, 0), *((0, new - old) for new, old in zip(target, size))]
    pixels = np.pad(pixels, grow, constant_values=np.float32(facts.pad_value))
    return Prepared(pixels, size, original, (float(factor[0]), float(factor[1])))


def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    return int(width * factor + 0.5), int(height * factor + 0.5)


def _to(
    picture: np.ndarray, factor: np.ndarray, size: tuple[int, int], step: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Resize to a width and a height by the step's backend."""
    how = step.get('interpolation', 'bilinear')
    old = np.array(picture.shape[1::-1])
    if min(size) < 1:
        raise FileFault(
            f'a picture of {old[0]}x{old[1]} px would be resized to {size[0]}x{size[1]}'
        )
    if step.get('backend', 'cv2') == 'pillow':
        picture = np.array(Image.fromarray(picture).resize(size, _PILLOW[how]))
    else:
        picture = resize(picture, *size, how)
    return picture, factor * np.array(size) / old


def _resize(picture, factor, step):
    height, width = picture.shape[:2]
    size = tuple(step['scale'])
    if step.get('keep_ratio', False):
        fit = min(max(size) / max(height, width), min(size) / min(height, width))
        size = _scaled(width, height, fit)
    return _to(picture, factor, size, step)


def _resize_by(picture, factor, step):
    by = step['factor']
    height, width = picture.shape[:2]
    across, down = by if isinstance(by, list | tuple) else (by, by)
    size = int(width * across + 0.5), int(height * down + 0.5)
    return _to(picture, factor, size, step)


def _resize_edge(picture, factor, step):
    height, width = picture.shape[:2]
    edge, scale = step.get('edge', 'short'), step['scale']
    by_width = (
        (edge == 'short' and width < height)
        or (edge == 'long' and width > height)
        or edge == 'width'
    )
    if by_width:
        size = scale, int(scale * height / width)
    else:
        size = int(scale * width / height), scale
    return _to(picture, factor, size, step)


def _center_crop(picture, factor, step):
    height, width = picture.shape[:2]
    new_width, new_height = step['size']
    top = max(0, round((height - min(new_height, height)) / 2))
    left = max(0, round((width - min(new_width, width)) / 2))
    return picture[top : top + new_height, left : left + new_width], factor


def _pad(picture, factor, step):
    height, width = picture.shape[:2]
    if step.get('size') is not None:
        new_width, new_height = step['size']
    else:
        divisor = step['divisor']
        new_width, new_height = (
            -(-side // divisor) * divisor for side in (width, height)
        )
    grow = [(0, max(0, new_height - height)), (0, max(0, new_width - width)), (0, 0)]
    return np.pad(picture, grow, constant_values=step.get('value', 0)), factor


OPS = {
    'resize': _resize,
    'resize_by': _resize_by,
    'resize_edge': _resize_edge,
    'center_crop': _center_crop,
    'pad': _pad,
}
