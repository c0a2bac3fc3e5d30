"""Pairs of images and label maps, and label maps with other values than 0, 1, 2 ..."""

import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.progress import track

from ...checks.images import SUFFIXES, list_images
from ...errors import UserError, examples, near_file

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
    maps = maps or _map_folder(folder)
    for place in (folder, maps):
        if place is None or not os.path.isdir(place):
            what = f'there is no folder {place}{near_file(place)}' if place else ''
            raise UserError(
                f'--{split} {folder}: {what or "no label maps"}: --{split}-maps FOLDER '
                'is where the label maps are'
            )
    labels = _relative(maps, ('.png', '.tif', '.tiff', '.bmp'))
    labels = [name for name in labels if name.endswith(map_suffix or '')]
    images = _relative(folder, SUFFIXES)
    if os.path.samefile(folder, maps):
        jpegs = [name for name in images if name.lower().endswith(('.jpg', '.jpeg'))]
        images = jpegs or [name for name in images if name not in labels]
    # Images all end alike, from a separator on: in .jpg, _sat.jpg, _leftImg8bit.png.
    common = os.path.commonprefix([name[::-1] for name in images])[::-1]  # noqa: RUF071
    cuts = [common.find(mark) for mark in '._- ' if mark in common]
    end = common[min(cuts) :] if cuts else ''
    names = {name.removesuffix(end) for name in images}
    # Label maps begin as an image does, up to a separator.
    best = statistics.multimode(
        label[i:]
        for label in labels
        for i, mark in enumerate(label)
        if mark in '._- ' and label[:i] in names
    )
    if len(best) > 1:
        raise UserError(
            f'{maps} has several label maps for each image: choose one with --map-suffix: '
            f'{", ".join(sorted(best))}'
        )
    if not end or not best:
        raise UserError(
            f'--{split}: images ({examples(images) or "none"}) must end alike, and label '
            f'maps ({examples(labels) or "none"}) begin as they do, up to one of ._- : '
            'rename, convert or remove the others'
        )
    return Pairs(folder, maps, end, best[0], sorted(names))


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
    classes = [_code(value) for value in values]
    known = {*classes, *map(_code, ignored)}
    for name in track(pairs.names, description='Label maps', transient=True):
        path = f'{pairs.maps}/{name}{pairs.map_suffix}'
        if not os.path.isfile(path):
            continue  # the checks of the config report it
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert(image.mode.removesuffix('A')))
        except (OSError, SyntaxError, ValueError) as error:  # damaged files
            raise UserError(f'{path} cannot be read as a label map: {error}') from error
        # A number is a color of three equal parts.
        pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)
        codes = pixels[..., :3].astype(np.int64) @ (1 << 32, 1 << 16, 1)
        if others := sorted(set(np.unique(codes).tolist()) - known):
            colors = [
                f'{code >> 32},{code >> 16 & 65535},{code & 65535}' for code in others
            ]
            shown = [
                c.split(',')[0] if len({*c.split(',')}) == 1 else c for c in colors
            ]
            raise UserError(
                f'{path} has {examples(shown)}, which is not among --label-values; '
                f'--ignore-label {" ".join(shown[:3])} leaves it out'
            )
        result = np.full(codes.shape, 255, np.uint8)
        for number, code in enumerate(classes):
            result[codes == code] = number
        out = target / f'{name}.png'
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(result).save(out)
    return pairs._replace(maps=str(target), map_suffix='.png')


def _code(value: str) -> int:
    """Return the number of a value or color."""
    red, green, blue = map(int, value.split(',') if ',' in value else [value] * 3)
    return red << 32 | green << 16 | blue
