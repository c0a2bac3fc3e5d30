"""Where a user's labels, images and names of classes are."""

import codecs
import math
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import yaml

from ...checks.images import list_images
from ...checks.problems import check_text
from ...errors import UserError, did_you_mean, examples, near_file

# Where images are, as seen from the folder of their annotation file.
_IMAGE_FOLDERS = ('', 'images', '{stem}', '../images', '../{stem}', '../{split}')
_LABEL_FOLDERS = {
    'images': ('labels', 'annotations', 'Annotations'),
    'JPEGImages': ('Annotations',),
}
_LABEL_SUFFIXES = ('.xml', '.txt', '.json')  # of VOC, YOLO and labelme


class Files(NamedTuple):
    """Images with one label file each.

    Attributes:
        folder: The folder that all images are below.
        pairs: Images and their label files; None if nothing is in an image.
        classes: Names of the classes, as far as files say them.
        posed: Columns of a pose in YOLO's files; 5 without keypoints.
    """

    folder: str
    pairs: Sequence[tuple[str, str | None]]
    classes: Sequence[str]
    posed: int


def read_text(path: str | os.PathLike) -> str:
    """Read a text file in UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        UserError: If it is in another encoding; the message has the command to convert.
    """
    content = Path(path).read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    declared = re.findall(rb'(?i)^<\?xml[^>]*encoding=.(gb\w+|big5)', content)
    # Editors save a file as UTF-8 and leave the declaration as it is.
    for encoding in (*declared, b'utf-16' if wide else b'utf-8-sig'):
        with suppress(UnicodeDecodeError, LookupError):
            return content.decode(encoding.decode())
    raise UserError(str(check_text(str(path))))


def read_lines(path: str | os.PathLike) -> list[str]:
    """Read the lines of a text file that are not empty."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_classes(folder: str) -> list[str]:
    """Read names of classes from a ``classes.txt`` in a folder or above it.

    A line has a name, or a number and a name.
    """
    places = (Path(folder), *list(Path(folder).parents)[:2])
    files = [place / 'classes.txt' for place in places]
    names = next((read_lines(path) for path in files if path.is_file()), [])
    numbered = [re.fullmatch(r'(\d+)[\s:,]+(\S.*)', name) for name in names]
    if all(numbered) and [int(m[1]) for m in numbered] == [*range(len(names))]:
        return [m[2] for m in numbered]
    return names


def find_files(path: str, images: str | None, split: str) -> Files | str:
    """Find the labels of a detection dataset.

    Args:
        path: A COCO JSON; a YOLO ``data.yaml``; a list of images, as of YOLO or VOC
            (``ImageSets/Main/train.txt``); or a folder of images with label files (VOC's
            XML, YOLO's text, labelme's JSON), or with a COCO JSON.
        images: Folder of the images, if it is not at one of the usual places.
        split: ``'train'`` or ``'val'``: the part of a ``data.yaml``.

    Returns:
        The files, or the path of a COCO JSON.

    Raises:
        UserError: If there are no labels of a known form.
    """
    for flag, place in ((f'--{split}', path), ('--images or --val-images', images)):
        if place and not os.path.exists(place):
            hint = near_file(place)
            raise UserError(f'{flag} {place}: there is no such file or folder{hint}')
    root, classes, posed = Path(path), [], 5
    suffix = root.suffix.lower()
    if suffix == '.json':
        return path
    if suffix in ('.yaml', '.yml'):
        found, classes, posed = _read_data_yaml(root, split)
    elif suffix == '.txt':
        found = _read_list(root, images)
    else:
        places = [root / 'JPEGImages', root / 'images', root]
        places += [root.parent / 'JPEGImages', root.parent / 'images']
        found = next(filter(None, map(list_images, [images] if images else places)), [])
    pairs = [(image, _label_of(Path(image), root)) for image in found]
    if not any(label for _, label in pairs):
        jsons = sorted(map(str, root.glob('*.json')))
        if len(jsons) == 1:
            return jsons[0]
        names = examples(jsons or sorted(filter(None, map(os.path.basename, found))))
        raise UserError(
            f'{path} has no labels ({names or "it is empty"}): give a COCO JSON, a YOLO '
            'data.yaml, a list (.txt) of images, or a folder; label files of VOC, YOLO or '
            'labelme are beside the images, or in labels or Annotations beside their folder'
        )
    folders = [os.path.dirname(os.path.abspath(image)) for image in found]
    folder = os.path.relpath(os.path.commonpath(folders))
    classes = classes or read_classes(folder)
    return Files(folder, pairs, classes, posed)


def find_orphans(files: Files) -> list[str]:
    """Return the files beside the labels that no image in the folder has the name of."""
    stems = {'classes', *(Path(image).stem for image in list_images(files.folder))}
    labels = [Path(label) for _, label in files.pairs if label]
    places = {(path.parent, path.suffix) for path in labels}
    beside = (path for folder, end in places for path in folder.glob(f'[!.]*{end}'))
    return sorted(str(path) for path in beside if path.stem not in stems)


def _label_of(image: Path, root: Path) -> str | None:
    """Return the label file of an image: beside it, or in ``labels`` for ``images``."""
    places, parts = [image.parent, root], image.parts
    for i in range(len(parts) - 1):
        names = _LABEL_FOLDERS.get(parts[i], ())
        places += [Path(*parts[:i], name, *parts[i + 1 : -1]) for name in names]
    files = (place / (image.stem + end) for place in places for end in _LABEL_SUFFIXES)
    return next((str(file) for file in files if file.is_file()), None)


def _read_list(path: Path, images: str | None) -> list[str]:
    """Read the images of a list: paths, or names without a suffix as in VOC's lists."""
    lines = read_lines(path)
    voc = path.parent / '../../JPEGImages'  # of ImageSets/Main
    folder = images or os.path.normpath(voc if voc.is_dir() else path.parent)
    found = {line: line for line in lines if os.path.isfile(line)}
    others = _match(folder, lines) if len(found) < len(lines) else {}
    found = {line: f'{folder}/{name}' for line, name in others.items()} | found
    if missing := [line for line in lines if line not in found]:
        raise UserError(
            f'{path} names {len(missing)} of {len(lines)} images that are not in {folder}: '
            f'{examples(missing)} - copy them, or give their folder with --images'
        )
    return [found[line] for line in lines]


def _read_data_yaml(path: Path, split: str) -> tuple[list[str], list[str], int]:
    """Return the images of a part, the names of the classes, and a pose's columns."""
    try:
        content = dict(yaml.safe_load(read_text(path)))
        posed = 5 + math.prod(content.get('kpt_shape') or [0])
    except (yaml.YAMLError, TypeError, ValueError) as error:
        words = ' '.join(str(error).split())
        raise UserError(f'{path} is no data.yaml of YOLO: {words}') from error
    names = content.get('names') or []
    if isinstance(names, dict):
        names = [names.get(i, names.get(str(i))) for i in range(len(names))]
        if None in names:
            raise UserError(f'{path}: names must have the keys 0 to {len(names) - 1}')
    key = 'valid' if split == 'val' and 'valid' in content else split
    places = content.get(key)
    found: list[str] = []
    for place in [places] if isinstance(places, str) else places or ():
        where = _place(str(place), str(content.get('path') or ''), path.parent)
        is_list = where.suffix == '.txt' and where.is_file()
        images = _read_list(where, None) if is_list else list_images(str(where))
        if not images:
            raise UserError(f'{path}: {key}: there are no images in {where}')
        found += images
    if not found:
        hint = did_you_mean(key, map(str, content))
        raise UserError(
            f'{path}: {key} is {places!r}: it must be a folder of images{hint}'
        )
    return found, list(map(str, names)), posed


def _place(place: str, root: str, beside: Path) -> Path:
    """Find a folder of a data.yaml, which may come from another computer."""
    place, root = place.replace('\\', '/'), root.replace('\\', '/')
    parts = [part for part in place.split('/') if part not in ('', '.')]
    candidates = [beside / root / place, beside / place, Path(place)]
    # Exports say `../train/images` for what is beside data.yaml, or name the full path
    # on the computer where they were made.
    candidates += [beside.joinpath(*parts[i:]) for i in range(1, len(parts))]
    found = next((path for path in candidates if path.exists()), candidates[0])
    return Path(os.path.normpath(found))


def find_coco_images(
    ann_file: str, names: Sequence[str], images: str | None
) -> tuple[str, dict[str, str]]:
    """Find the images of a COCO JSON, by ``file_name`` and under names of other systems.

    Args:
        ann_file: The annotation file.
        names: ``file_name`` of its images.
        images: Folder of the images as given by the user.

    Returns:
        The folder, and the name of each image there; missing images keep theirs.

    Raises:
        UserError: If none is there.
    """
    path = Path(ann_file)
    split = path.stem.removeprefix('instances_').removeprefix('_annotations')
    places = [place.format(stem=path.stem, split=split) for place in _IMAGE_FOLDERS]
    usual = [os.path.normpath(path.parent / place) for place in places]
    folders = [images] if images else list(dict.fromkeys(filter(os.path.isdir, usual)))
    found = {folder: _match(folder, names) for folder in folders}
    best = max(found, key=lambda folder: len(found[folder]), default='')
    if not found.get(best):
        raise UserError(
            f'{ann_file}: its images, such as {names[0]}, are not in {", ".join(folders)}: '
            f'give {"another" if images else "their"} folder with --images or --val-images'
        )
    return best, {name: found[best].get(name, name) for name in names}


def _match(folder: str, names: Sequence[str]) -> dict[str, str]:
    """Find the images below a folder that names mean.

    Names from other systems have backslashes, drive letters and folders of another
    computer; suffixes may be in another case or left out. VOC's lists of one class have
    1 or -1 behind the name.
    """
    real = [os.path.relpath(path, folder) for path in list_images(folder)]
    index = {os.path.splitext(name)[0].lower(): name for name in real}
    index |= {name.lower(): name for name in real}
    found = {name: name for name in {*real}.intersection(names)}
    for name in names:
        for text in (name.lower(), re.sub(r'(\s+-?\d+)+$', '', name.lower())):
            parts = re.split(r'[\\/]+', text)
            keys = ('/'.join(parts[i:]) for i in range(len(parts)))
            if known := next((index[key] for key in keys if key in index), None):
                found.setdefault(name, known)
    return found
