"""Where a user's labels, images and names of classes are, and in which form."""

import codecs
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
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

    Attributes:
        form: ``'coco'``, ``'voc'`` or ``'yolo'``.
        source: The file, list or folder as given by the user.
        images: Folder that the names of images are relative to.
        files: For VOC and YOLO each image with its label file, which may not exist.
        classes: Names of the classes, as far as they are known.
        options: Entries of a data.yaml that say how lines are read.
    """

    form: str
    source: str
    images: str = ''
    files: Sequence[tuple[str, str]] = ()
    classes: Sequence[str] = ()
    options: dict[str, Any] = field(default_factory=dict)


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
        classes: Names of the classes as given by the user.
        split: ``'train'`` or ``'val'``: the part of a ``data.yaml``.

    Raises:
        UserError: If there are no labels of a known form.
    """
    if images is not None and not os.path.isdir(images):
        flag = '--images' if split == 'train' else '--val-images (or --images)'
        raise UserError(f'{flag}: there is no folder {images}{near_file(images)}')
    if not os.path.exists(path):
        hint = near_file(path)
        raise UserError(f'--{split} {path}: there is no such file or folder{hint}')
    suffix = Path(path).suffix.lower()
    if os.path.isdir(path):
        return _of_folder(Path(path), images, classes)
    if suffix == '.json':
        return Labels('coco', path)
    if suffix in ('.yaml', '.yml'):
        return _of_data_yaml(path, classes, split)
    if suffix == '.txt':
        return _of_list(path, images, classes)
    raise UserError(
        f'{path}: labels are a COCO JSON, a YOLO data.yaml, a list (.txt) of images, or a '
        'folder of label files'
    )


def _of_folder(root: Path, images: str | None, classes: Sequence[str]) -> Labels:
    folder = root / 'Annotations' if (root / 'Annotations').is_dir() else root
    names = sorted(name for name in os.listdir(folder) if not is_hidden(name))
    if stems := [name[:-4] for name in names if name.lower().endswith('.xml')]:
        return _voc(str(root), folder, images, stems, classes)
    jsons = [name for name in names if name.endswith('.json')]
    if len(jsons) > 1:
        raise UserError(f'{root} has {" and ".join(jsons[:3])}: give one of them')
    if jsons:
        return Labels('coco', str(folder / jsons[0]))
    if found := list_images(str(root)):
        return _yolo(str(root), found, classes)
    raise UserError(
        f'{root} has no labels ({examples(names) or "it is empty"}): a folder has XML '
        'files (VOC), images with .txt labels (YOLO), or one COCO JSON'
    )


def _voc(
    source: str,
    folder: Path,
    images: str | None,
    stems: Sequence[str],
    classes: Sequence[str],
) -> Labels:
    places = (folder.parent / 'JPEGImages', folder.parent / 'images', folder)
    images = images or str(next(place for place in places if place.is_dir()))
    by_stem = {Path(path).stem: path for path in list_images(images)}
    files = [
        # A missing image is reported under the name that it should have.
        (by_stem.get(stem, f'{images}/{stem}.jpg'), str(folder / f'{stem}.xml'))
        for stem in stems
    ]
    return Labels('voc', source, images, files, classes)


def _of_list(path: str, images: str | None, classes: Sequence[str]) -> Labels:
    lines = [line.replace('\\', '/') for line in read_lines(path)]
    if not lines:
        raise UserError(f'{path} is empty: it has the name of one image in each line')
    if lines[0].lower().endswith(SUFFIXES):
        near = Path(path).parent
        found = [line if os.path.exists(line) else str(near / line) for line in lines]
        return _yolo(path, found, classes)
    folder = Path(path).absolute().parents[1].parent / 'Annotations'
    if not folder.is_dir():
        raise UserError(
            f'{path} names {lines[0]!r} first, which is no image; a list of VOC is in '
            'ImageSets/Main, beside the folder Annotations'
        )
    return _voc(path, folder, images, [line.split()[0] for line in lines], classes)


def _of_data_yaml(path: str, classes: Sequence[str], split: str) -> Labels:
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        words = ' '.join(str(error).split())
        raise UserError(f'{path} is no valid YAML: {words}') from error
    if not isinstance(content, dict):
        raise UserError(f'{path} is no data.yaml of YOLO: it has train, val and names')
    names = content.get('names') or list(classes)
    if isinstance(names, dict):
        numbered = {str(key): name for key, name in names.items()}
        if set(numbered) != {str(i) for i in range(len(names))}:
            raise UserError(
                f'{path}: names has the keys {examples(list(names))}: they must go from 0 '
                f'to {len(names) - 1}'
            )
        names = [numbered[str(i)] for i in range(len(names))]
    key = 'valid' if split == 'val' and 'valid' in content else split
    places = content.get(key)
    places = [places] if isinstance(places, str) else places
    if not isinstance(places, list) or not places:
        hint = did_you_mean(key, map(str, content))
        raise UserError(
            f'{path}: {key} is {places!r}: it must be a folder of images{hint}'
        )
    names, found = list(map(str, names)), []
    for place in places:
        where = _place(str(place), str(content.get('path') or ''), Path(path).parent)
        if where.suffix == '.txt' and where.is_file():
            images = [image for image, _ in _of_list(str(where), None, names).files]
        else:
            images = list_images(str(where))
        if not images:
            what = 'has no images' if where.is_dir() else 'does not exist'
            raise UserError(f'{path}: {key}: {where} {what}')
        found += images
    options = {key: content[key] for key in ('kpt_shape',) if key in content}
    return _yolo(path, found, names, options)


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


def _yolo(
    source: str,
    found: Sequence[str],
    classes: Sequence[str],
    options: dict[str, Any] | None = None,
) -> Labels:
    folders = [os.path.dirname(path) for path in found]
    if len({os.path.isabs(folder) for folder in folders}) > 1:
        folders = [os.path.abspath(folder) for folder in folders]
    folder = os.path.commonpath(folders) or '.'
    files = [(image, _label_of(Path(image))) for image in found]
    if not any(os.path.isfile(label) for _, label in files):
        raise UserError(
            f'{source}: no image has labels; those of the first would be {files[0][1]} '
            '(YOLO labels are beside the images, or in `labels` if those are in `images`)'
        )
    classes = classes or read_classes(folder)
    if not classes:
        raise UserError(
            f'{source}: YOLO labels number the classes: give the data.yaml, a classes.txt '
            f'in {folder}, or --classes NAME NAME ... in order'
        )
    return Labels('yolo', source, folder, files, classes, options or {})


def _label_of(image: Path) -> str:
    """Return the label file of an image: in `labels` for `images`, or beside it."""
    beside = image.with_suffix('.txt')
    for i in reversed(range(len(beside.parts) - 1)):
        if name := _LABEL_FOLDERS.get(beside.parts[i]):
            other = Path(*beside.parts[:i], name, *beside.parts[i + 1 :])
            if other.is_file() or not beside.is_file():
                return str(other)
    return str(beside)


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


def find_coco_images(
    ann_file: str, names: Sequence[str], images: str | None
) -> tuple[str, dict[str, str]]:
    """Find the images of a COCO JSON.

    Names from other systems are understood: backslashes, drive letters and folders of
    another computer, suffixes in another case or left out.

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
    best, found = '', {}
    for folder in folders:
        here = {name: name for name in names if os.path.isfile(f'{folder}/{name}')}
        if len(here) < len(names):
            here = _other_names(folder, names) | here
        if len(here) > len(found):
            best, found = folder, here
        if len(here) == len(names):
            break
    if not found:
        raise UserError(
            f'{ann_file}: its images, such as {names[0]}, are not in {", ".join(folders)}: '
            f'give {"another" if images else "their"} folder with --images or --val-images'
        )
    return best, {name: found.get(name, name) for name in names}


def _other_names(folder: str, names: Sequence[str]) -> dict[str, str]:
    """Find files that names from another system mean."""
    real = [os.path.relpath(path, folder) for path in list_images(folder)]
    index = {os.path.splitext(name)[0].lower(): name for name in real}
    index |= {name.lower(): name for name in real}
    found = {}
    for name in names:
        parts = re.split(r'[\\/]+', name.lower())
        keys = ('/'.join(parts[i:]) for i in range(len(parts)))
        if known := next((index[key] for key in keys if key in index), None):
            found[name] = known
    return found
