"""From an image file to the network's input, by the steps in a file's metadata.

A step is a dict with ``op`` and its settings; sizes are in px, width before height as in
OpenMMLab's configs:

- ``resize``: ``scale`` (width and height), ``keep_ratio``, ``interpolation``,
  ``backend`` (``'cv2'`` or ``'pillow'``); with ``keep_ratio`` as large as fits into
  ``scale``, whichever way round;
- ``resize_edge``: ``scale`` (one number), ``edge`` (``'short'`` or ``'long'``);
- ``center_crop``: ``size`` (width and height);
- ``pad``: ``size`` or ``divisor``, and ``value``, on the right and at the bottom.
"""

import os
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .metadata import FileError, ModelMetadata

INTERPOLATIONS = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)


@dataclass(frozen=True)
class Prepared:
    """An input of the network.

    Args:
        pixels: (3, H, W), float32, normalized and padded.
        image_size: Height and width before the padding of the metadata.
        original_size: Height and width of the image.
        scale_factor: Factors of width and height, from the image to the input.
    """

    pixels: np.ndarray
    image_size: tuple[int, int]
    original_size: tuple[int, int]
    scale_factor: tuple[float, float]


def read_image(path: str | os.PathLike, orientation: bool = True) -> np.ndarray:
    """Read an image as RGB bytes, (H, W, 3).

    Args:
        path: The file.
        orientation: Whether it is turned by its EXIF tag.

    Raises:
        FileError: If it is missing, damaged or no image.
    """
    flags = cv2.IMREAD_COLOR
    if not orientation:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise FileError(f'{path} cannot be read: {error.strerror}') from error
    pixels = cv2.imdecode(content, flags) if content.size else None
    if pixels is None:
        raise FileError(f'{path} is not an image, or damaged')
    return np.ascontiguousarray(pixels[..., ::-1])


def prepare(image: np.ndarray, metadata: ModelMetadata) -> Prepared:
    """Turn an image into the network's input.

    Args:
        image: RGB bytes, (H, W, 3).
        metadata: The metadata of the exported file.

    Returns:
        The input, and what is needed to map results back to the image.

    Raises:
        FileError: If the image is too small or too large for the file, or this runtime
            is too old for it.
    """
    original = image.shape[:2]
    factor = np.ones(2)
    for step in metadata.steps:
        if step.get('op') not in OPS:
            raise FileError(
                f'the file asks for the step {step.get("op")!r}, which this runtime does '
                f'not know (known: {", ".join(OPS)}): use the runtime of mmghost '
                f'{metadata.origin.get("mmghost", "")}'.rstrip()
            )
        image, factor = OPS[step['op']](image, factor, step)
    size = image.shape[:2]
    pixels = image if metadata.channels == 'RGB' else image[..., ::-1]
    pixels = pixels.transpose(2, 0, 1).astype(np.float32)
    pixels -= np.float32(metadata.mean)[:, None, None]
    pixels /= np.float32(metadata.std)[:, None, None]
    target = [up_to(side, metadata.pad_divisor) for side in size]
    if metadata.size is not None:
        if any(side > limit for side, limit in zip(size, metadata.size)):
            raise FileError(
                f'the file takes {metadata.size[0]}x{metadata.size[1]} px (height x '
                f'width) only, and the image is {size[0]}x{size[1]} px after its steps: '
                'export it with a larger --size, or to ONNX without --fixed'
            )
        target = metadata.size
    if min(target) < metadata.least_side:
        raise FileError(
            f'the image is {target[0]}x{target[1]} px (height x width) after its steps; '
            f'the file is right from {metadata.least_side} px up'
        )
    grow = [(0, 0), *((0, new - old) for new, old in zip(target, size))]
    pixels = np.pad(pixels, grow, constant_values=np.float32(metadata.pad_value))
    return Prepared(pixels, size, original, tuple(factor.tolist()))


def up_to(side: int, divisor: int) -> int:
    """Return the next multiple of ``divisor``."""
    return -(-side // divisor) * divisor


def _to(
    image: np.ndarray, factor: np.ndarray, size: tuple[int, int], step: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Resize to a width and a height; the factors are multiplied."""
    width, height = size
    if min(size) < 1:
        raise FileError(
            f'an image of {image.shape[1]}x{image.shape[0]} px would be resized to '
            f'{width}x{height}'
        )
    factor = factor * (width / image.shape[1], height / image.shape[0])
    how = step.get('interpolation', 'bilinear')
    if step.get('backend', 'cv2') == 'cv2':
        flag = INTERPOLATIONS[how]
        return cv2.resize(image, (width, height), interpolation=flag), factor
    from PIL import Image  # only for recipes that resize with Pillow, as ImageNet's

    resized = Image.fromarray(image).resize(
        (width, height), Image.Resampling[how.upper()]
    )
    return np.asarray(resized), factor


def _resize(image, factor, step):
    height, width = image.shape[:2]
    size = tuple(step['scale'])
    if step.get('keep_ratio', False):
        fit = min(max(size) / max(height, width), min(size) / min(height, width))
        size = int(width * fit + 0.5), int(height * fit + 0.5)
    return _to(image, factor, size, step)


def _resize_edge(image, factor, step):
    height, width = image.shape[:2]
    edge = (min if step.get('edge', 'short') == 'short' else max)(height, width)
    scale = step['scale']
    return _to(image, factor, (scale * width // edge, scale * height // edge), step)


def _center_crop(image, factor, step):
    height, width = image.shape[:2]
    new_width, new_height = step['size']
    top = max(0, round((height - new_height) / 2))
    left = max(0, round((width - new_width) / 2))
    return image[top : top + new_height, left : left + new_width], factor


def _pad(image, factor, step):
    height, width = image.shape[:2]
    if step.get('size') is not None:
        new_width, new_height = step['size']
    else:
        new_width, new_height = (up_to(s, step['divisor']) for s in (width, height))
    grow = [(0, max(0, new_height - height)), (0, max(0, new_width - width)), (0, 0)]
    return np.pad(image, grow, constant_values=step.get('value', 0)), factor


OPS = dict(
    resize=_resize,
    resize_edge=_resize_edge,
    center_crop=_center_crop,
    pad=_pad,
)
