"""Where a user's labels, images and names of classes are, and in which form."""

import codecs
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...checks.images import SUFFIXES, is_hidden, list_images
from ...checks.problems import check_text, near_file
from ...errors import UserError, did_you_mean, examples

# Where images are, as seen from the folder of their annotation file.
_IMAGE_FOLDERS = ('', 'images', '{stem}', '../images', '../{stem}', '../{split}')
_LABEL_FOLDERS = {'images': 'labels', 'img_dir': 'ann_dir'}


@dataclass(frozen=True)
class Labels:
    """Labels of objects on disk.

    Args:
        form: ``'coco'``, ``'voc'`` or ``'yolo'``.
        source: The file, list or folder as given by the user.
        images: Folder that the names of images are relative to.
        files: For VOC and YOLO each image with its label file, which may not exist.
        classes: For YOLO the names of the classes.
        keypoints: For YOLO ``kpt_shape`` of the data.yaml.
    """

    form: str
    source: str
    images: str = ''
    files: tuple[tuple[str, str], ...] = ()
    classes: tuple[str, ...] = ()
    keypoints: Any = None


def read_text(path: str | os.PathLike) -> str:
    """Read a text file in UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        UserError: If it is in another encoding; the message has the command to convert.
    """
    content = Path(path).read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode('utf-16' if wide else 'utf-8-sig')
    except UnicodeDecodeError:
        raise UserError(str(check_text(str(path)))) from None


def read_lines(path: str | os.PathLike) -> list[str]:
    """Read the lines of a text file that are not empty."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def find_labels(
    path: str, images: str | None, classes: Sequence[str], split: str
) -> Labels:
    """Find out what the labels of a detection dataset are.

    Args:
        path: A COCO JSON; a YOLO ``data.yaml``; a list of images (YOLO) or of names
            (VOC's ``ImageSets/Main/train.txt``); or a folder of XML files, of images
            with YOLO labels, or with a COCO JSON.
        images: Folder of the images, if it is not at one of the usual places.
        classes: Names of the classes for YOLO labels that come without names.
        split: ``'train'`` or ``'val'``: the part of a ``data.yaml``.

    Raises:
        UserError: If there are no labels of a known form.
    """
    path = path.replace('\\', '/') if not os.path.exists(path) else path
    if images is not None and not os.path.isdir(images):
        flag = '--images' if split == 'train' else '--val-images (or --images)'
        raise UserError(f'{flag}: there is no folder {images}{near_file(images)}')
    if not os.path.exists(path):
        raise UserError(
            f'--{split} {path}: there is no such file or folder{near_file(path)}'
        )
    suffix = Path(path).suffix.lower()
    if os.path.isdir(path):
        return _of_folder(Path(path), images, classes)
    if suffix == '.json':
        return Labels('coco', path)
    if suffix in ('.yaml', '.yml'):
        return _of_data_yaml(path, images, classes, split)
    if suffix == '.txt':
        return _of_list(path, images, classes)
    if suffix == '.xml':
        raise UserError(f'{path} is one label file: give the folder that it is in')
    raise UserError(
        f'{path}: labels are a COCO JSON, a YOLO data.yaml, a list (.txt) or a folder'
    )


def _of_folder(root: Path, images: str | None, classes: Sequence[str]) -> Labels:
    if (root / 'Annotations').is_dir():
        images = images or _first_folder(root / 'JPEGImages', root / 'images')
        root = root / 'Annotations'
    stems = sorted(p.stem for p in root.glob('*.xml') if not is_hidden(p.name))
    if stems:
        beside = (root.parent / 'JPEGImages', root.parent / 'images', root)
        return _voc(str(root), images or _first_folder(*beside), stems, root)
    jsons = sorted(p for p in root.glob('*.json') if not is_hidden(p.name))
    if len(jsons) > 1:
        raise UserError(
            f'{root} has {" and ".join(path.name for path in jsons[:3])}: give one of them'
        )
    if jsons:
        return Labels('coco', str(jsons[0]))
    if found := list_images(str(root), SUFFIXES):
        return _yolo(str(root), found, classes)
    raise UserError(
        f'{root} has no labels ({examples(sorted(os.listdir(root))) or "it is empty"}): '
        'a folder has XML files (VOC), images with .txt labels (YOLO) or one COCO JSON'
    )


def _first_folder(*folders: Path) -> str:
    return str(next((folder for folder in folders if folder.is_dir()), folders[-1]))


def _voc(source: str, images: str, stems: Sequence[str], root: Path) -> Labels:
    by_stem = {Path(path).stem: path for path in list_images(images, SUFFIXES)}
    files = tuple(
        # A missing image is reported later, under the name that it should have.
        (
            by_stem.get(stem, os.path.join(images, f'{stem}.jpg')),
            str(root / f'{stem}.xml'),
        )
        for stem in stems
    )
    return Labels('voc', source, images, files)


def _of_list(path: str, images: str | None, classes: Sequence[str]) -> Labels:
    lines = [line.replace('\\', '/') for line in read_lines(path)]
    if not lines:
        raise UserError(f'{path} is empty: it has the name of one image in each line')
    if lines[0].lower().endswith(SUFFIXES):
        near = str(Path(path).parent)
        found = [line if os.path.exists(line) else f'{near}/{line}' for line in lines]
        return _yolo(path, found, classes)
    root = Path(path).resolve().parents[1].parent
    if not (root / 'Annotations').is_dir():
        raise UserError(
            f'{path} names {lines[0]!r} first, which is no image; a list of VOC is in '
            'ImageSets/Main, beside the folder Annotations'
        )
    images = images or _first_folder(root / 'JPEGImages', root / 'images')
    return _voc(path, images, [line.split()[0] for line in lines], root / 'Annotations')


def _of_data_yaml(
    path: str, images: str | None, classes: Sequence[str], split: str
) -> Labels:
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        words = ' '.join(str(error).split())
        raise UserError(f'{path} is no valid YAML: {words}') from error
    if not isinstance(content, dict):
        raise UserError(f'{path} is no data.yaml of YOLO: it has train, val and names')
    names = content.get('names') or list(classes)
    if isinstance(names, dict):
        numbers = {int(key): name for key, name in names.items() if str(key).isdigit()}
        if sorted(numbers) != list(range(len(names))):
            raise UserError(
                f'{path}: names has the keys {examples(list(names))}; they must go from 0 '
                f'to {len(names) - 1}'
            )
        names = [numbers[i] for i in range(len(names))]
    key = 'valid' if split == 'val' and 'val' not in content else split
    places = content.get(key)
    places = [places] if isinstance(places, str) else places
    if not isinstance(places, list) or not places:
        hint = did_you_mean(key, map(str, content))
        raise UserError(
            f'{path}: {key} is {places!r}; it must be a folder of images{hint}'
        )
    found: list[str] = []
    for place in places:
        folder = _place(str(place), str(content.get('path') or ''), Path(path).parent)
        if folder.suffix == '.txt' and folder.is_file():
            found += [image for image, _ in _of_list(str(folder), images, names).files]
            continue
        members = list_images(str(folder), SUFFIXES)
        if not members:
            what = 'has no images' if folder.is_dir() else 'does not exist'
            raise UserError(f'{path}: {key}: {folder} {what}')
        found += members
    return _yolo(path, found, [str(name) for name in names], content.get('kpt_shape'))


def _place(place: str, root: str, beside: Path) -> Path:
    """Find a folder of a data.yaml, which may come from another computer."""
    parts = [part for part in re.split(r'[\\/]+', place) if part != '.']
    known = '/'.join(parts)
    root = root.replace('\\', '/')
    candidates = [beside / root / known, beside / known, Path(known)]
    # Exports say `../train/images` for what is beside data.yaml, or name the full path
    # on the computer where they were made.
    candidates += [beside.joinpath(*parts[i:]) for i in range(1, len(parts))]
    found = next((path for path in candidates if path.exists()), candidates[0])
    return Path(os.path.normpath(found))


def _yolo(
    source: str, found: Sequence[str], classes: Sequence[str], keypoints: Any = None
) -> Labels:
    images = [os.path.dirname(path) for path in found]
    if len({os.path.isabs(folder) for folder in images}) > 1:
        images = [os.path.abspath(folder) for folder in images]
    folder = os.path.commonpath(images) or '.'
    files = tuple((image, _label_of(image)) for image in found)
    if not any(os.path.isfile(label) for _, label in files):
        raise UserError(
            f'{source}: no image has labels; those of the first would be {files[0][1]} '
            '(YOLO labels are beside the images, or in `labels` if those are in `images`)'
        )
    classes = tuple(classes) or read_classes(folder)
    if not classes:
        raise UserError(
            f'{source}: YOLO labels number the classes: give the data.yaml, a classes.txt '
            f'in {folder}, or --classes NAME NAME ... in order'
        )
    return Labels('yolo', source, folder, files, classes, keypoints)


def _label_of(image: str) -> str:
    """Return the label file of an image: in `labels` for `images`, or beside it."""
    beside = Path(image).with_suffix('.txt')
    for i in reversed(range(len(beside.parts) - 1)):
        if name := _LABEL_FOLDERS.get(beside.parts[i]):
            other = Path(*beside.parts[:i], name, *beside.parts[i + 1 :])
            if other.is_file() or not beside.is_file():
                return str(other)
    return str(beside)


def read_classes(folder: str) -> tuple[str, ...]:
    """Read the names of the classes from a ``classes.txt`` in a folder or above it.

    A line has a name, or a number and a name.
    """
    for place in (Path(folder), *list(Path(folder).parents)[:2]):
        if (place / 'classes.txt').is_file():
            names = read_lines(place / 'classes.txt')
            numbered = [re.fullmatch(r'(\d+)[\s:,]+(\S.*)', name) for name in names]
            if all(numbered) and [int(m[1]) for m in numbered] == [*range(len(names))]:
                names = [m[2] for m in numbered]
            return tuple(names)
    return ()


def find_coco_images(
    ann_file: str, names: Sequence[str], images: str | None
) -> tuple[str, dict[str, str]]:
    """Find the images of a COCO JSON.

    Names from other systems are understood: backslashes, drive letters and folders of
    another computer, and suffixes in another case or left out.

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
    folders = [images] if images else [
        os.path.normpath(path.parent / place.format(stem=path.stem, split=split))
        for place in _IMAGE_FOLDERS
    ]  # fmt: skip
    best: tuple[int, str, dict[str, str]] = (0, '', {})
    for folder in dict.fromkeys(folders):
        found = {}
        index: dict[str, str] | None = None
        for name in names:
            if os.path.isfile(os.path.join(folder, name)):
                found[name] = name
                continue
            if index is None:
                index = _index(folder)
            parts = [part for part in re.split(r'[\\/]+', name.lower()) if part]
            keys = ['/'.join(parts[i:]) for i in range(len(parts))]
            known = next((index[key] for key in keys if key in index), None)
            if known is not None:
                found[name] = known
        if len(found) > best[0]:
            best = (len(found), folder, found)
        if len(found) == len(names):
            break
    count, folder, found = best
    if not count and images:
        raise UserError(
            f'none of the {len(names)} images of {ann_file}, such as {names[0]}, is in '
            f'{images}: is --images (or --val-images) the right folder?'
        )
    if not count:
        raise UserError(
            f'{ann_file}: its images, such as {names[0]}, are in none of '
            f'{", ".join(dict.fromkeys(folders))}: give their folder with --images'
        )
    return folder, {name: found.get(name, name) for name in names}


def _index(folder: str) -> dict[str, str]:
    """Map lower-case names of images, with and without suffix, to their real names."""
    real = [
        Path(os.path.relpath(path, folder)).as_posix()
        for path in (list_images(folder, SUFFIXES) if os.path.isdir(folder) else ())
    ]
    bare = {os.path.splitext(name)[0].lower(): name for name in real}
    return bare | {name.lower(): name for name in real}
