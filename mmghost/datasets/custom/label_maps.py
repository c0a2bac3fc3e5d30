"""Pairs of images and label maps, and label maps with other values than 0, 1, 2 ..."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from ...checks.images import SUFFIXES, list_images
from ...checks.problems import near_file
from ...errors import UserError, examples

MAP_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp')
_MAP_FOLDERS = {
    'images': ('annotations', 'masks', 'labels'),
    'img_dir': ('ann_dir',),
    'imgs': ('masks',),
    'leftImg8bit': ('gtFine', 'gtCoarse'),
    'JPEGImages': ('SegmentationClass',),
}


class Pairs(NamedTuple):
    """Images and their label maps: ``images/NAME + suffix`` and ``maps/NAME + suffix``.

    Attributes:
        images: Folder of the images.
        maps: Folder of the label maps.
        image_suffix: End of the images' names, such as ``.jpg`` or ``_sat.jpg``.
        map_suffix: End of the label maps' names.
        names: The names without the ends.
    """

    images: str
    maps: str
    image_suffix: str
    map_suffix: str
    names: list[str]


def find_pairs(
    folder: str, maps: str | None, split: str, map_suffix: str | None = None
) -> Pairs:
    """Find the label maps of a folder of images.

    Args:
        folder: Folder of the images.
        maps: Folder of the label maps, if it is not at one of the usual places.
        split: ``'train'`` or ``'val'``.
        map_suffix: End of the label maps' names, if they have several kinds.

    Raises:
        UserError: If there are none, or their names do not say which ones belong together.
    """
    if not os.path.isdir(folder):
        raise UserError(
            f'--{split} {folder}: there is no such folder{near_file(folder)}'
        )
    maps = maps or _map_folder(folder)
    if maps is None or not os.path.isdir(maps):
        missing = f' (there is no folder {maps}{near_file(maps)})' if maps else ''
        raise UserError(
            f'--{split} {folder}: no label maps: give their folder with --{split}-maps'
            + missing
        )
    images, labels = _relative(folder, SUFFIXES), _relative(maps, MAP_SUFFIXES)
    labels = [name for name in labels if name.endswith(map_suffix or '')]
    if os.path.samefile(folder, maps):
        jpegs = [name for name in images if not name.lower().endswith(MAP_SUFFIXES)]
        images = jpegs or [name for name in images if name not in labels]
    if not images or not labels:
        missing = f'{maps} has no label maps' if images else f'{folder} has no images'
        raise UserError(f'--{split}: {missing}')
    ends = _suffixes(images, labels)
    if not ends:
        raise UserError(
            f'the names of the label maps in {maps}, such as {labels[0]}, do not begin as '
            f'those of the images, such as {images[0]}: rename them'
        )
    if len(ends) > 1:
        raise UserError(
            f'{maps} has several label maps for each image: choose one with --map-suffix: '
            f'{", ".join(sorted(end for _, end in ends))}'
        )
    ((image_end, map_end),) = ends
    names = [name[: -len(image_end)] for name in images if name.endswith(image_end)]
    if others := [name for name in images if not name.endswith(image_end)]:
        raise UserError(
            f'--{split} {folder}: images end in {image_end}, but not {examples(others)}: '
            'mmseg reads one kind: convert, rename or remove these'
        )
    return Pairs(folder, maps, image_end, map_end, names)


def _suffixes(images: Sequence[str], labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return the ends by which names of images and label maps differ, that fit most."""
    candidates = set()
    for image in images[:: max(1, len(images) // 10)]:
        for label in labels:
            length = len(os.path.commonprefix([image, label]))  # noqa: RUF071
            # x_sat.jpg and x_seg.png share x_s: the ends begin at a separator.
            cut = max(map(image[:length].rfind, '._- '))
            if not any(name[length : length + 1].isalnum() for name in (image, label)):
                cut = length
            if cut > image.rfind('/') + 1:
                candidates.add((image[cut:], label[cut:]))
    known = set(labels)
    fits = {
        (image_end, map_end): sum(
            image.endswith(image_end) and image[: -len(image_end)] + map_end in known
            for image in images
        )
        for image_end, map_end in candidates
    }
    return [ends for ends, count in fits.items() if count == max(fits.values())]


def _relative(folder: str, suffixes: Sequence[str]) -> list[str]:
    found = list_images(folder, suffixes)
    return [Path(os.path.relpath(path, folder)).as_posix() for path in found]


def _map_folder(folder: str) -> str | None:
    parts = Path(folder).parts
    for i in reversed(range(len(parts))):
        for name in _MAP_FOLDERS.get(parts[i], ()):
            other = Path(*parts[:i], name, *parts[i + 1 :])
            if other.is_dir():
                return str(other)
    return None


def convert_maps(
    pairs: Pairs, values: Sequence[str], ignored: Sequence[str], target: Path
) -> Pairs:
    """Write label maps with the values 0, 1, 2 ... as mmseg reads them.

    Args:
        pairs: The images and their label maps: gray, palette or RGB images.
        values: Value, ``'7'``, or color, ``'64,128,64'``, of each class.
        ignored: Values or colors that become 255, which is ignored.
        target: Folder to write to.

    Returns:
        The images with their new label maps.

    Raises:
        UserError: If a label map has other values.
    """
    for name in track(pairs.names, description='Label maps', transient=True):
        codes, is_color = _read_map(pairs, name)
        wanted = [_code(value, is_color) for value in (*values, *ignored)]
        if unknown := set(np.unique(codes).tolist()) - set(wanted):
            shown = [_as_text(code, is_color) for code in sorted(unknown)]
            raise UserError(
                f'{pairs.maps}/{name}{pairs.map_suffix} has {examples(shown)}, which is not '
                f'among --label-values; --ignore-label {" ".join(shown[:3])} leaves it out'
            )
        result = np.full(codes.shape, 255, np.uint8)
        for number, code in enumerate(wanted[: len(values)]):
            result[codes == code] = number
        path = target / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        if codes.size:
            path.write_bytes(cv2.imencode('.png', result)[1].tobytes())
    return pairs._replace(maps=str(target), map_suffix='.png')


def _read_map(pairs: Pairs, name: str) -> tuple[np.ndarray, bool]:
    """Return a number for each pixel, and whether it is an RGB code.

    Missing and damaged files are empty here; the checks of the config report them.
    """
    try:
        with Image.open(f'{pairs.maps}/{name}{pairs.map_suffix}') as image:
            pixels = np.asarray(image.convert('RGB') if image.mode == 'RGBA' else image)
    except (OSError, SyntaxError, ValueError):
        return np.zeros((0, 0), int), False
    if pixels.ndim == 3:
        return pixels[..., :3].astype(int) @ (65536, 256, 1), True
    return pixels.astype(int), False


def _code(value: str, is_color: bool) -> int:
    numbers = [int(number) for number in value.split(',')]
    if not is_color:
        return numbers[0] if len(set(numbers)) == 1 else -1
    red, green, blue = numbers * (3 // len(numbers))
    return red << 16 | green << 8 | blue


def _as_text(code: int, is_color: bool) -> str:
    return f'{code >> 16},{code >> 8 & 255},{code & 255}' if is_color else str(code)
