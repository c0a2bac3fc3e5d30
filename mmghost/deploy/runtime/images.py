"""From an image file to the network's input, by the steps in a file's metadata.

A step is a transform of OpenMMLab: a dict with ``op``, its name, and its settings, of
which sizes are in px, width before height.
"""

import os
from dataclasses import dataclass

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
    flags = cv2.IMREAD_COLOR | (0 if orientation else cv2.IMREAD_IGNORE_ORIENTATION)
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
    original, factor = image.shape[:2], np.ones(2)
    for step in metadata.steps:
        settings, before = dict(step), image.shape
        name = settings.pop('op')
        if name not in OPS:
            raise FileError(
                f'the file asks for the step {name!r}, which this runtime does not know '
                f'(known: {", ".join(OPS)}): use the runtime of mmghost '
                f'{metadata.origin.get("mmghost", "")}'.rstrip()
            )
        image = OPS[name](image, **settings)
        if name in ('Resize', 'ResizeEdge'):
            factor *= np.divide(image.shape[1::-1], before[1::-1])
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
    image: np.ndarray, size: tuple[int, int], interpolation: str, backend: str
) -> np.ndarray:
    """Resize to a width and a height."""
    if 0 in size:
        raise FileError(f'the image is too thin: {size} px (width, height), resized')
    if backend == 'cv2':
        return cv2.resize(image, size, interpolation=INTERPOLATIONS[interpolation])
    from PIL import Image  # only for recipes that resize with Pillow, as ImageNet's

    how = Image.Resampling[interpolation.upper()]
    return np.asarray(Image.fromarray(image).resize(size, how))


def _resize(image, scale, keep_ratio, **how):
    if not keep_ratio:
        return _to(image, tuple(scale), **how)
    height, width = image.shape[:2]
    fit = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return _to(image, (int(width * fit + 0.5), int(height * fit + 0.5)), **how)


def _resize_edge(image, scale, edge, **how):
    height, width = image.shape[:2]
    edge = (min if edge == 'short' else max)(height, width)
    return _to(image, (scale * width // edge, scale * height // edge), **how)


def _center_crop(image, crop_size):
    height, width = image.shape[:2]
    new_width, new_height = crop_size
    top = max(0, round((height - new_height) / 2))
    left = max(0, round((width - new_width) / 2))
    return image[top : top + new_height, left : left + new_width]


def _pad(image, size, size_divisor, pad_val):
    height, width = image.shape[:2]
    wide, high = size or (up_to(side, size_divisor) for side in (width, height))
    bottom, right = max(0, high - height), max(0, wide - width)
    value = np.broadcast_to(pad_val.get('img', 0), 3)[::-1].tolist()  # it is of BGR
    return cv2.copyMakeBorder(
        image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=value
    )


OPS = dict(Resize=_resize, ResizeEdge=_resize_edge, CenterCrop=_center_crop, Pad=_pad)
