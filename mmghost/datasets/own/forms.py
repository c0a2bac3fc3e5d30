"""Which form a person's data have, and where its pictures and labels lie."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...checks.problems import near_file
from ...checks.images import SUFFIXES, list_images
from ...errors import UserError, examples, near

# Where annotation files usually have their pictures, seen from their own folder.
_COCO_FOLDERS = ('', 'images', '{stem}', '../images', '../{stem}', '../{split}')
_LABEL_FOLDERS = {'images': ('labels',), 'img_dir': ('ann_dir',)}
_MAP_FOLDERS = {
    'images': ('annotations', 'masks', 'labels'),
    'img_dir': ('ann_dir',),
    'imgs': ('masks',),
}
# How the person names the folder of the pictures.
IMAGES_FLAGS = {'train': '--images', 'val': '--val-images (by default --images)'}


@dataclass(frozen=True)
class Labels:
    """Labels of objects as they lie on the disk, in one of the forms.

    Args:
        form: ``'coco'``, ``'voc'`` or ``'yolo'``.
        source: What the person named: the annotation file, list or folder.
        pictures: The folder that the names of pictures are relative to.
        files: For VOC and YOLO each picture with its label file, which need not be there.
        classes: For YOLO the names of the classes, where they are known.
    """

    form: str
    source: str
    pictures: str
    files: tuple[tuple[str, str], ...] = ()
    classes: tuple[str, ...] = ()


def find_labels(
    path: str, images: str | None = None, classes: Sequence[str] = (), split: str = ''
) -> Labels:
    """Find out what the labels of a detection data set are.

    Args:
        path: A COCO JSON; a YOLO ``data.yaml``; a list of pictures (YOLO) or of names
            (VOC's ``ImageSets/Main/train.txt``); or a folder of XML files, of pictures
            with YOLO labels, or with a COCO JSON.
        images: The folder of the pictures, where it is not at one of the usual places.
        classes: Names of the classes, for YOLO labels without a ``data.yaml``.
        split: ``'train'`` or ``'val'``: which part of a ``data.yaml`` is meant.

    Returns:
        What was found.

    Raises:
        UserError: If nothing is there, or it is of none of the forms.
    """
    if images is not None and not os.path.isdir(images):
        flag = IMAGES_FLAGS.get(split, '--images')
        raise UserError(f'{flag}: there is no folder {images}{near_file(images)}')
    if not os.path.exists(path):
        raise UserError(f'--{split or "train"} {path}: there is no such file or folder'
                        f'{near_file(path)}')  # fmt: skip
    if os.path.isdir(path):
        return _of_folder(path, images, classes)
    suffix = Path(path).suffix.lower()
    if suffix == '.json':
        return Labels('coco', path, images or '')  # the folder is known from its names
    if suffix in ('.yaml', '.yml'):
        return _of_data_yaml(path, images, split)
    if suffix == '.txt':
        return _of_list(path, images, classes)
    if suffix == '.xml':
        raise UserError(f'{path} is one label file: name the folder that it lies in')
    raise UserError(
        f'{path} is no form of labels that is known: give a COCO JSON, a YOLO data.yaml, '
        'a list (.txt) or a folder'
    )


def _of_folder(folder: str, images: str | None, classes: Sequence[str]) -> Labels:
    root = Path(folder)
    if (root / 'Annotations').is_dir() and not list(root.glob('*.xml')):
        images = images or _existing(root / 'JPEGImages', root / 'images')
        root = root / 'Annotations'
    if any(root.glob('*.xml')):
        images = images or _existing(
            root.parent / 'JPEGImages', root.parent / 'images', root
        )
        return _voc(str(root), images, sorted(path.stem for path in root.glob('*.xml')))
    jsons = sorted(root.glob('*.json'))
    if len(jsons) == 1:
        return Labels('coco', str(jsons[0]), images or '')
    if len(jsons) > 1:
        names = ' and '.join(path.name for path in jsons[:3])
        raise UserError(f'{folder} holds {names}: name one of them')
    pictures = list_images(folder, SUFFIXES)
    if pictures:
        return _yolo(folder, folder, pictures, classes)
    holds = sorted(entry.name for entry in root.iterdir())
    raise UserError(
        f'{folder} holds no labels that are known ({examples(holds) or "it is empty"}): '
        'a folder has XML files (VOC), pictures with .txt labels (YOLO), or one COCO JSON'
    )


def _existing(*folders: Path) -> str:
    """The first of some folders that is there; the last where none is."""
    for folder in folders:
        if folder.is_dir():
            return str(folder)
    return str(folders[-1])


def _voc(source: str, images: str, stems: Sequence[str], root: str = '') -> Labels:
    by_stem = {Path(path).stem: path for path in list_images(images, SUFFIXES)}
    files = tuple(
        # A picture that is not there is told later, by the name that it would have.
        (
            by_stem.get(stem, os.path.join(images, f'{stem}.jpg')),
            os.path.join(root or source, f'{stem}.xml'),
        )
        for stem in stems
    )
    return Labels('voc', source, images, files)


def _of_list(path: str, images: str | None, classes: Sequence[str]) -> Labels:
    try:
        lines = Path(path).read_text(encoding='utf-8').split('\n')
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path} cannot be read as a list: {error}') from None
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        raise UserError(f'{path} is empty: it should name one picture in each line')
    if lines[0].lower().endswith(SUFFIXES):
        folder = Path(path).parent
        found = [
            line if os.path.isabs(line) or os.path.exists(line) else str(folder / line)
            for line in lines
        ]
        return _yolo(path, _common_folder(found), found, classes)
    root = (
        Path(path).resolve().parents[2]
        if len(Path(path).resolve().parents) > 2
        else None
    )
    if root is None or not (root / 'Annotations').is_dir():
        raise UserError(
            f'{path} names {lines[0]!r} first, which is no picture; as a list of VOC it '
            'lies in ImageSets/Main, beside the folder Annotations'
        )
    stems = [line.split()[0] for line in lines]
    images = images or _existing(root / 'JPEGImages', root / 'images')
    return _voc(path, images, stems, str(root / 'Annotations'))


def _common_folder(pictures: Sequence[str]) -> str:
    """The deepest folder that all of some pictures are below."""
    folders = [os.path.dirname(picture) for picture in pictures]
    if len({os.path.isabs(folder) for folder in folders}) > 1:
        folders = [os.path.abspath(folder) for folder in folders]
    return os.path.commonpath(folders) or '.'


def _of_data_yaml(path: str, images: str | None, split: str) -> Labels:
    import yaml

    try:
        with open(path, encoding='utf-8') as file:
            content = yaml.safe_load(file)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        words = ' '.join(str(error).split())
        raise UserError(f'{path} is no valid YAML: {words}') from None
    if not isinstance(content, dict):
        raise UserError(
            f'{path} is no data.yaml of YOLO: it should have train, val, names'
        )
    names = _names_of(content.get('names'), path)
    key = split or 'train'
    if key == 'val' and 'val' not in content and 'valid' in content:
        key = 'valid'
    place = content.get(key)
    if not isinstance(place, str):
        raise UserError(
            f'{path}: {key} is {place!r}; it should be the folder of the pictures'
            f'{near(key, map(str, content))}'
        )
    root = Path(path).parent / str(content.get('path') or '')
    candidates = [root / place, Path(path).parent / place, Path(place)]
    # Exports name `../train/images` for what lies beside data.yaml.
    candidates.append(Path(path).parent / place.removeprefix('../'))
    for folder in candidates:
        if folder.is_dir():
            found = list_images(str(folder), SUFFIXES)
            if not found:
                raise UserError(f'{path}: {key}: {folder} holds no picture')
            return _yolo(path, os.path.normpath(folder), found, names)
        if folder.is_file() and folder.suffix == '.txt':
            return _of_list(str(folder), images, names)
    raise UserError(f'{path}: {key}: there is no folder {candidates[0]}')


def _names_of(names: Any, path: str) -> tuple[str, ...]:
    if isinstance(names, dict):
        keys = sorted(
            names, key=lambda key: (not isinstance(key, int), str(key).zfill(9))
        )
        if keys != list(range(len(keys))):
            raise UserError(
                f'{path}: names has the keys {examples([str(key) for key in keys])}; '
                f'they should go from 0 to {len(keys) - 1}'
            )
        names = [names[key] for key in keys]
    if not isinstance(names, list) or not names:
        raise UserError(f'{path}: names is {names!r}; it should list the classes')
    return tuple(str(name) for name in names)


def _yolo(
    source: str, folder: str, pictures: Sequence[str], classes: Sequence[str]
) -> Labels:
    if not classes:
        classes = classes_near(folder)
    files = tuple((picture, _label_of(picture)) for picture in pictures)
    if not any(os.path.isfile(label) for _, label in files):
        raise UserError(
            f'{source}: no picture has labels; the first should have {files[0][1]} (YOLO '
            'labels lie beside the pictures, or in `labels` where those are in `images`)'
        )
    if not classes:
        raise UserError(
            f'{source}: YOLO labels name classes by number: give the data.yaml, a '
            f'classes.txt in {folder}, or --classes NAME NAME ... in order'
        )
    return Labels('yolo', source, folder, files, tuple(classes))


def _label_of(picture: str) -> str:
    """The label file of a picture: beside it, or below `labels` in place of `images`."""
    beside = str(Path(picture).with_suffix('.txt'))
    parts = Path(beside).parts
    for i in reversed(range(len(parts) - 1)):
        for name in _LABEL_FOLDERS.get(parts[i], ()):
            other = str(Path(*parts[:i], name, *parts[i + 1 :]))
            if not os.path.isfile(beside) or os.path.isfile(other):
                return other
    return beside


def classes_near(folder: str) -> tuple[str, ...]:
    """Read the names of the classes from a ``classes.txt`` in a folder or above it.

    A line holds a name, or its number and the name.

    Raises:
        UserError: If it is no text in UTF-8.
    """
    for place in (Path(folder), *list(Path(folder).parents)[:2]):
        path = place / 'classes.txt'
        if path.is_file():
            try:
                lines = path.read_text(encoding='utf-8').split('\n')
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(
                    f'{path} cannot be read as names of classes: {error}'
                ) from None
            names = [line.strip() for line in lines if line.strip()]
            numbered = [re.fullmatch(r'(\d+)[\s:,]+(\S.*)', name) for name in names]
            if all(numbered) and [int(m[1]) for m in numbered] == [*range(len(names))]:
                names = [m[2] for m in numbered]
            return tuple(names)
    return ()


def coco_pictures(ann_file: str, names: Sequence[str], images: str | None) -> str:
    """Find the folder that a COCO JSON's pictures lie in.

    Args:
        ann_file: The annotation file.
        names: The ``file_name`` of its pictures.
        images: The folder that the person named, if any.

    Returns:
        The folder: that of the person, or the usual one where most pictures are.

    Raises:
        UserError: If no picture is at any of the usual places.
    """
    if images:
        return images
    path = Path(ann_file)
    split = path.stem.removeprefix('instances_').removeprefix('_annotations')
    folders = [
        os.path.normpath(path.parent / place.format(stem=path.stem, split=split))
        for place in _COCO_FOLDERS
    ]
    sample = names[:: max(1, len(names) // 20)]
    there = [
        sum(os.path.isfile(os.path.join(folder, name)) for name in sample)
        for folder in folders
    ]
    if not any(there):
        raise UserError(
            f'{ann_file}: its pictures, such as {sample[0]}, are in none of '
            f'{", ".join(dict.fromkeys(folders))}: name their folder with --images'
        )
    return folders[there.index(max(there))]


def check_images(
    pictures: Sequence[str], images: str | None, source: str, split: str
) -> None:
    """Check that the folder that the person named has any of the pictures.

    Args:
        pictures: Their paths.
        images: The folder; None for one that was found, not named.
        source: The annotations, for the message.
        split: ``'train'`` or ``'val'``.

    Raises:
        UserError: If it has none.
    """
    if images is None or not pictures or any(map(os.path.isfile, pictures)):
        return
    raise UserError(
        f'none of the {len(pictures)} pictures of {source}, such as '
        f'{os.path.relpath(pictures[0], images)}, is in {images}: is '
        f'{IMAGES_FLAGS[split]} the right folder?'
    )


def find_maps(folder: str, maps: str | None, split: str) -> tuple[str, str, str, str]:
    """Find pictures and label maps for segmentation.

    Args:
        folder: The folder of the pictures.
        maps: The folder of the label maps, where it is not at the usual place.
        split: ``'train'`` or ``'val'``, for messages.

    Returns:
        The two folders, the suffix of the pictures and that of the label maps.

    Raises:
        UserError: If there are none.
    """
    if not os.path.isdir(folder):
        raise UserError(
            f'--{split} {folder}: there is no such folder{near_file(folder)}'
        )
    maps = maps or _map_folder(folder)
    if maps is None or not os.path.isdir(maps):
        raise UserError(
            f'--{split} {folder}: no label maps: name their folder with --{split}-maps'
            + (f' (there is no folder {maps}{near_file(maps)})' if maps else '')
        )
    pictures = list_images(folder, SUFFIXES)
    labels = list_images(maps, ('.png', '.tif', '.tiff', '.bmp'))
    if not pictures:
        raise UserError(f'--{split} {folder}: holds no picture ({", ".join(SUFFIXES)})')
    if not labels:
        raise UserError(f'{maps}: holds no label map (a .png for each picture)')
    suffixes = {Path(picture).suffix for picture in pictures}
    if len(suffixes) > 1:
        raise UserError(
            f'--{split} {folder}: pictures end in {" and ".join(sorted(suffixes))}; mmseg '
            'reads one kind: convert them to one'
        )
    suffix = suffixes.pop()
    return folder, maps, suffix, _map_suffix(pictures[0], folder, suffix, maps, labels)


def _map_folder(folder: str) -> str | None:
    parts = Path(folder).parts
    for i in reversed(range(len(parts))):
        for name in _MAP_FOLDERS.get(parts[i], ()):
            other = Path(*parts[:i], name, *parts[i + 1 :])
            if other.is_dir():
                return str(other)
    return None


def _map_suffix(
    picture: str, folder: str, suffix: str, maps: str, labels: Sequence[str]
) -> str:
    """What a label map's name has behind that of its picture, `.png` or `_mask.png`."""
    stem = os.path.relpath(picture, folder)[: -len(suffix)]
    named = [os.path.relpath(label, maps) for label in labels]
    endings = [name[len(stem) :] for name in named if name.startswith(stem)]
    return min(endings, key=len) if endings else Path(labels[0]).suffix


def find_class_folders(folder: str, split: str) -> list[str]:
    """List the class folders of a classification data set.

    Raises:
        UserError: If there are none.
    """
    if not os.path.isdir(folder):
        raise UserError(
            f'--{split} {folder}: there is no such folder{near_file(folder)}'
        )
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if not names:
        raise UserError(
            f'--{split} {folder}: holds no class folders: put the pictures of each class '
            'into a folder of its name'
        )
    return names
