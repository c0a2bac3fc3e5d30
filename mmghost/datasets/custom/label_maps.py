"""Pairs of images and label maps, and label maps with other values than 0, 1, 2 ..."""

import os
import re
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
_IGNORED = 255

Value = int | tuple[int, int, int]  # gray, or red, green and blue


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
    if map_suffix:
        labels = [name for name in labels if name.endswith(map_suffix)]
    for what, where, found in (
        ('images', folder, images),
        ('label maps', maps, labels),
    ):
        if not found:
            raise UserError(f'{where} has no {what}')
    if os.path.samefile(folder, maps):
        images = [name for name in images if name not in labels] or images
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
            cut = max(map(image[: length + 1].rfind, '._- '))
            if cut > image.rfind('/') + 1 and not label[cut : cut + 1].isalnum():
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


def parse_value(text: str) -> Value:
    """Read a value of label maps, ``11`` or ``64,128,64``."""
    if not re.fullmatch(r'\d{1,3}(,\d{1,3},\d{1,3})?', text):
        raise UserError(f'{text}: a value of label maps is a number or RED,GREEN,BLUE')
    numbers = tuple(map(int, text.split(',')))
    return numbers[0] if len(numbers) == 1 else numbers


def check_values(
    pairs: Pairs, classes: Sequence[str], ignored: Sequence[Value]
) -> None:
    """Check the values of some label maps.

    Raises:
        UserError: If they are not the numbers of the classes; with the flags that help.
    """
    seen: set[Value] = set()
    for name in pairs.names[:: max(1, len(pairs.names) // 50)]:
        path = os.path.join(pairs.maps, name + pairs.map_suffix)
        if os.path.isfile(path):
            codes, is_color = _read_map(path)
            values = np.unique(codes).tolist()
            seen |= {_color(v) for v in values} if is_color else set(values)
    others = seen - set(range(len(classes))) - {_IGNORED, *ignored}
    count = len(classes)
    binary = seen == {0, _IGNORED} and count > 1
    if not others and not binary:
        return
    shown = [_as_text(value) for value in sorted(seen, key=str if others else int)]
    if len(seen - set(ignored)) == count:
        remedy = (
            f'--label-values {" ".join(shown)} names the value of each class in order'
        )
    else:
        extra = ' '.join(_as_text(value) for value in list(others)[:3])
        remedy = (
            f'--ignore-label {extra} if these pixels are no class; --label-values if '
            'classes have other values'
        )
    raise UserError(
        f'{pairs.maps}: label maps have {examples(shown, 8)}, but {count} classes are 0 to '
        f'{count - 1}, and {_IGNORED} is ignored: {remedy}'
    )


def _read_map(path: str) -> tuple[np.ndarray, bool]:
    """Return one number for each pixel, and whether it is an RGB code."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert('RGB') if image.mode == 'RGBA' else image)
    if pixels.ndim == 3:
        return pixels[..., :3].astype(np.int64) @ (65536, 256, 1), True
    return pixels.astype(np.int64), False


def _color(code: int) -> Value:
    return code >> 16, code >> 8 & 255, code & 255


def _as_text(value: Value) -> str:
    return ','.join(map(str, value)) if isinstance(value, tuple) else str(value)


def convert_maps(
    pairs: Pairs, values: Sequence[Value], ignored: Sequence[Value], target: Path
) -> Pairs:
    """Write label maps with the values 0, 1, 2 ... as mmseg reads them.

    Args:
        pairs: The images and their label maps, gray, palette or RGB images.
        values: Value or color of each class.
        ignored: Values or colors that become 255, which is ignored.
        target: Folder to write to.

    Returns:
        The images with their new label maps.

    Raises:
        UserError: If a label map has other values.
    """
    for name in track(pairs.names, description='Label maps', transient=True):
        path = os.path.join(pairs.maps, name + pairs.map_suffix)
        if not os.path.isfile(path):
            continue  # reported by the checks of the config
        codes, is_color = _read_map(path)
        wanted = [*values, *ignored]
        if is_color:
            wanted = [v if isinstance(v, tuple) else (v, v, v) for v in wanted]
            wanted = [red << 16 | green << 8 | blue for red, green, blue in wanted]
        result = np.full(codes.shape, _IGNORED, np.uint8)
        for number, value in enumerate(wanted[: len(values)]):
            result[codes == value] = number
        unknown = sorted(set(np.unique(codes).tolist()) - set(wanted))
        if unknown:
            shown = [_as_text(_color(v) if is_color else v) for v in unknown]
            raise UserError(
                f'{path} has values that are not among --label-values: {examples(shown)}; '
                f'--ignore-label {" ".join(shown[:3])} leaves them out'
            )
        new = target / f'{name}.png'
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(cv2.imencode('.png', result)[1].tobytes())
    return pairs._replace(maps=str(target), map_suffix='.png')
