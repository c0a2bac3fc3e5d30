"""Checks of data sets as they lie on the disk, before anything is trained on them.

Every check returns a list of :class:`Problem`, data that a tool or a hook prints.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.fileio import list_from_file

from ..errors import did_you_mean, examples
from .toolbox import option_key
from .coco_values import is_box, is_id, is_inside, is_number, is_polygons, is_rle
from .images import PictureReport, list_images

# Takes the kind of a fault and the entry that has it.
Fault = Callable[[str, str], None]

# What to do about faults of COCO's entries, by words of the fault.
_REMEDIES = {
    'without area': "add area, the object's or its box's (width x height), in px",
    'without iscrowd': 'add "iscrowd": 0; the evaluator reads it',
    'which masks need': 'label outlines, or train boxes alone',
    'with an id that another has': 'number them anew: ids must differ',
    'RLE does not fill': 'size is [height, width], and counts add up to their product',
    'no polygons and no RLE': 'a polygon is [x1, y1, x2, y2, x3, y3, ...] in px',
    'with a name that another has': 'give each category one entry and one id',
    'of a picture that is not listed': 'take them out, or add the picture to images',
    'of a category that is not listed': 'take them out, or add it to categories',
}


@dataclass(frozen=True)
class Problem:
    """Something that would spoil a training.

    Args:
        where: The file, or the place in the config.
        what: What is wrong there.
        remedy: What to do about it.
        fatal: Whether the training must not start.
    """

    where: str
    what: str
    remedy: str = ''
    fatal: bool = True

    def __str__(self) -> str:
        """One line for the terminal."""
        return f'{self.where}: {self.what}' + (
            f' - {self.remedy}' if self.remedy else ''
        )


def check_dataset(
    dataset: BaseDataset,
    path: str,
    annotations: dict[str, Any] | None = None,
    masks: bool = False,
) -> tuple[list[Problem], list[str]]:
    """Check one data set's folders and annotations.

    Args:
        dataset: The data set, built with ``lazy_init=True``.
        path: Its place in the config, such as ``train_dataloader.dataset``.
        annotations: Parsed annotation files by path; what is parsed here is added.
        masks: Whether its pipeline reads the objects' masks.

    Returns:
        The problems, and the pictures (and label maps) that it names.
    """
    annotations = {} if annotations is None else annotations
    problem = _check_kinds(dataset, path)
    if problem:
        return [problem], []
    backend = getattr(dataset, 'backend_args', None)
    if backend and backend.get('backend') not in (None, 'local'):
        return [], []
    problem = check_root(dataset, path)
    if problem:
        return [problem], []
    names = {cls.__name__ for cls in type(dataset).__mro__}
    if 'CocoDataset' in names:
        return _check_coco_dataset(dataset, path, annotations, masks)
    if 'BaseSegDataset' in names:
        return _check_segmentation_dataset(dataset, path)
    if 'CustomDataset' in names:
        return _check_classification_dataset(dataset, path)
    if dataset.ann_file and not os.path.exists(dataset.ann_file):
        return [missing_file(dataset.ann_file, f'{path}.ann_file')], []
    return [], []


def _check_kinds(dataset: BaseDataset, path: str) -> Problem | None:
    """Check that files and folders are named by text: 0 would open the terminal."""
    names = {'data_root': dataset.data_root, 'ann_file': dataset.ann_file}
    names |= {f'data_prefix.{key}': name for key, name in dataset.data_prefix.items()}
    for key, name in names.items():
        if name is not None and not isinstance(name, str):
            return Problem(f'{path}.{key}', f'is {name!r}; it must be text or None')
    backend = getattr(dataset, 'backend_args', None)
    if backend is not None and not isinstance(backend, dict):
        where = f'{path}.backend_args'
        return Problem(where, f'is {backend!r}; it must be a dict or None')
    return None


def check_root(dataset: BaseDataset, path: str) -> Problem | None:
    """Check that a data set's root and folders exist."""
    root = dataset.data_root
    if root and '://' not in root and not os.path.isdir(root):
        return Problem(
            f'{path}.data_root',
            f'there is no folder {root} (seen from {os.getcwd()})',
            'link or move the data there, or pass --cfg-options '
            f'{option_key(path)}.data_root=PATH and the same for the other loaders and '
            'evaluators',
        )
    for key, folder in dataset.data_prefix.items():
        if folder and '://' not in str(folder) and not os.path.isdir(folder):
            return Problem(
                f'{path}.data_prefix.{key}',
                f'there is no folder {folder}{near_file(folder)}',
            )
    return None


def missing_file(name: str, where: str) -> Problem:
    """The problem that an annotation file is not there."""
    return Problem(where, f'there is no file {name}{near_file(name)}')


def near_file(name: str) -> str:
    """Name files of nearly that name in the same folder."""
    folder, base = os.path.split(name.rstrip('/'))
    try:
        return did_you_mean(base, os.listdir(folder or '.'))
    except OSError:
        return ''


def load_coco(ann_file: str, where: str, annotations: dict[str, Any]) -> list[Problem]:
    """Parse an annotation file in COCO's form into ``annotations[ann_file]``.

    Args:
        ann_file: The JSON file.
        where: Its place in the config.
        annotations: Gets the content, unless there are problems.

    Returns:
        What is wrong with the file as a whole.
    """
    if ann_file in annotations:
        return []
    if not os.path.isfile(ann_file):
        return [missing_file(ann_file, where)]
    try:
        with open(ann_file, encoding='utf-8') as file:
            content = json.load(file)
    except json.JSONDecodeError as error:
        size = os.path.getsize(ann_file)
        ended = error.doc.rstrip().endswith(('}', ']'))
        cut = 'no valid JSON' if ended else 'cut short'
        return [
            Problem(
                ann_file,
                f'is {cut}: {error.msg} at line {error.lineno} column {error.colno} '
                f'of a file of {size} bytes',
                'copy or unpack it again',
            )
        ]
    except (ValueError, RecursionError) as error:  # bytes, or a number of 4301 digits
        return [Problem(ann_file, f'is no JSON text: {error}')]
    except OSError as error:
        return [Problem(ann_file, f'cannot be read: {error.strerror}')]
    if not isinstance(content, dict):
        return [Problem(ann_file, 'is not in COCO form: its top is not an object')]
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content.get(key), list):
            return [
                Problem(
                    ann_file,
                    f'is not in COCO form: it has no list {key!r}',
                    'a COCO JSON has images, annotations and categories',
                )
            ]
    annotations[ann_file] = content
    return []


def check_coco(
    content: dict[str, list],
    name: str,
    classes: Sequence[str] | None = None,
    masks: bool = False,
    test: bool = False,
) -> list[Problem]:
    """Check the entries of an annotation file in COCO's form.

    Args:
        content: The parsed file.
        name: The file's name, for the messages.
        classes: The class names that the config asks for.
        masks: Whether objects need a ``segmentation``.
        test: Whether it is evaluated on; the evaluator needs ``area`` and ``iscrowd``.

    Returns:
        What is wrong, one problem for each kind of fault with examples.
    """
    faults: dict[str, list[str]] = {}

    def fault(kind: str, entry: str) -> None:
        faults.setdefault(kind, []).append(entry)

    sizes = _check_images(content['images'], fault)
    names = _check_categories(content['categories'], fault)
    outside = _check_annotations(
        content['annotations'], sizes, names, fault, masks, test
    )
    problems = [
        Problem(name, f'{len(entries)} {kind}: {examples(entries)}', _remedy(kind))
        for kind, entries in faults.items()
    ]
    if not content['images']:
        problems.append(Problem(name, 'lists no pictures', 'is it the right file?'))
    elif not content['annotations'] and not test:
        what = 'has no annotations: there is nothing to learn'
        problems.append(Problem(name, what, 'is it the right file?'))
    if outside:
        what = f'{len(outside)} boxes of no area in the picture: {examples(outside)}'
        problems.append(Problem(name, what, 'they are left out', fatal=False))
    return problems + check_class_names(classes, list(names.values()), name)


def _check_images(images: list, fault: Fault) -> dict[Any, tuple[float, float]]:
    """Check the pictures of a COCO file; return width and height by id."""
    sizes: dict[Any, tuple[float, float]] = {}
    for i, image in enumerate(images):
        lacks = _lacks(image, ('id', 'file_name', 'width', 'height'))
        if lacks:
            fault(f'images without {lacks}', f'images[{i}]')
        elif not (is_number(image['width']) and is_number(image['height'])):
            fault('images whose width or height is no number', f'images[{i}]')
        elif not is_id(image['id']):
            fault('images whose id is no number', f'images[{i}]')
        elif not isinstance(image['file_name'], str):
            fault('images whose file_name is no text', f'images[{i}]')
        elif min(image['width'], image['height']) < 1:
            fault('images of no width or height', f'images[{i}] ({image["file_name"]})')
        elif image['id'] in sizes:
            fault('images with an id that another has', f'id {image["id"]}')
        else:
            sizes[image['id']] = (image['width'], image['height'])
    return sizes


def _check_categories(categories: list, fault: Fault) -> dict[Any, str]:
    """Check the categories of a COCO file; return their names by id."""
    names: dict[Any, str] = {}
    for i, category in enumerate(categories):
        lacks = _lacks(category, ('id', 'name'))
        if lacks:
            fault(f'categories without {lacks}', f'categories[{i}]')
        elif not is_id(category['id']) or not isinstance(category['name'], str):
            fault(
                'categories whose id is no number or name no text', f'categories[{i}]'
            )
        elif category['id'] in names:
            fault('categories with an id that another has', f'id {category["id"]}')
        elif category['name'] in names.values():
            fault('categories with a name that another has', category['name'])
        else:
            names[category['id']] = category['name']
    return names


def _check_annotations(
    annotations: list,
    sizes: dict[Any, tuple[float, float]],
    names: dict[Any, str],
    fault: Fault,
    masks: bool,
    test: bool,
) -> list[str]:
    """Check the objects of a COCO file; return those of no area in their picture."""
    needed = ('id', 'image_id', 'category_id', 'bbox', 'area')
    needed += ('iscrowd',) if test else ()
    seen: set = set()
    outside = []
    for i, entry in enumerate(annotations):
        lacks = _lacks(entry, needed)
        if lacks:
            fault(f'annotations without {lacks}', f'annotations[{i}]')
            continue
        label = f'id {entry["id"]}'
        if not all(is_id(entry[key]) for key in ('id', 'image_id', 'category_id')):
            fault('annotations whose ids are no numbers', f'annotations[{i}]')
            continue
        if entry['id'] in seen:
            fault('annotations with an id that another has', label)
        seen.add(entry['id'])
        if entry['category_id'] not in names:
            fault(
                'annotations of a category that is not listed',
                f'{label} (category_id {entry["category_id"]})',
            )
        if not is_box(entry['bbox']):
            fault('annotations whose bbox is not four numbers', label)
            continue
        if not is_number(entry['area']):
            fault('annotations whose area is no number', label)
        if test and entry['iscrowd'] not in (0, 1):
            fault('annotations whose iscrowd is neither 0 nor 1', label)
        size = sizes.get(entry['image_id'])
        if size is None:
            fault(
                'annotations of a picture that is not listed',
                f'{label} (image_id {entry["image_id"]})',
            )
            continue
        if not is_inside(entry['bbox'], size):
            outside.append(label)
        if masks:
            _check_mask(entry.get('segmentation'), size, label, fault)
    return outside


def _check_mask(mask: Any, size: tuple[float, float], label: str, fault: Fault) -> None:
    """Check the mask of an object in a picture of some width and height."""
    if not mask:
        fault('annotations without a segmentation, which masks need', label)
    elif isinstance(mask, dict) and not is_rle(mask, size):
        fault('annotations whose RLE does not fill their picture', label)
    elif not isinstance(mask, dict) and not is_polygons(mask):
        fault('annotations whose segmentation is no polygons and no RLE', label)


def _remedy(kind: str) -> str:
    """What to do about a kind of fault in the entries of an annotation file."""
    for words, remedy in _REMEDIES.items():
        if words in kind:
            return remedy
    return 'mend these entries, or export the annotations again'


def check_class_names(
    classes: Sequence[str] | None, known: Sequence[str], name: str
) -> list[Problem]:
    """Check that the classes a config asks for are categories of the annotation file.

    A class that is not there would be dropped in silence, and those behind it would get
    other labels.
    """
    unknown = [cls for cls in classes or () if cls not in known]
    if not unknown:
        return []
    hints = ''.join(
        f' ({cls}{did_you_mean(cls, known, 1)})' for cls in unknown[:3] if did_you_mean(cls, known, 1)
    )
    return [
        Problem(
            name,
            f'has no category {examples(unknown)}{hints}; it has '
            f'{examples(list(known), 10)}',
            'set metainfo=dict(classes=(...)) of the data sets to its categories, and '
            'num_classes of the heads to their number',
        )
    ]


def _lacks(entry: Any, keys: Sequence[str]) -> str:
    """The keys that an entry lacks, as words; empty if none."""
    if not isinstance(entry, dict):
        return 'any field (not an object)'
    return ' and '.join(key for key in keys if key not in entry)


def _check_coco_dataset(
    dataset: Any, path: str, annotations: dict[str, Any], masks: bool
) -> tuple[list[Problem], list[str]]:
    ann_file = dataset.ann_file
    if not ann_file:
        return [Problem(f'{path}.ann_file', 'names no file')], []
    problems = load_coco(ann_file, f'{path}.ann_file', annotations)
    if problems:
        return problems, []
    content = annotations[ann_file]
    classes = dataset.metainfo.get('classes')
    problems = check_coco(content, ann_file, classes, masks, dataset.test_mode)
    folder = dataset.data_prefix.get('img', '')
    pictures = [
        os.path.join(folder, image['file_name'])
        for image in content['images']
        if not _lacks(image, ('file_name',)) and isinstance(image['file_name'], str)
    ]
    return problems, pictures


def _check_segmentation_dataset(
    dataset: Any, path: str
) -> tuple[list[Problem], list[str]]:
    ann_file = dataset.ann_file
    if ann_file and not os.path.exists(ann_file):
        return [missing_file(ann_file, f'{path}.ann_file')], []
    if ann_file and os.path.isfile(ann_file):
        problem = _check_lines(ann_file)
        if problem:
            return [problem], []
    pictures, maps = segmentation_files(dataset)
    if not pictures:
        folder = dataset.data_prefix.get('img_path') or ''
        return [
            Problem(folder, f'holds no picture that ends in {dataset.img_suffix}')
        ], []
    return [], pictures + maps


def _check_lines(ann_file: str) -> Problem | None:
    """Check a list of pictures, one a line, as far as the lines themselves go."""
    try:
        lines = list_from_file(ann_file)
    except UnicodeDecodeError as error:
        return Problem(ann_file, f'is no text in UTF-8: {error}', 'save it as UTF-8')
    if not lines:
        return Problem(ann_file, 'is empty', 'it names one picture a line')
    empty = [f'line {i}' for i, line in enumerate(lines, 1) if not line.strip()]
    if empty:
        what = f'has {len(empty)} lines that name no picture: {examples(empty)}'
        return Problem(ann_file, what, 'take them out')
    return None


def segmentation_files(dataset: Any) -> tuple[list[str], list[str]]:
    """List the files of a data set of mmseg's as it will read them.

    Args:
        dataset: A BaseSegDataset, built with ``lazy_init=True``.

    Returns:
        The pictures, and the label map of each; no label maps where it has none.
    """
    folder = dataset.data_prefix.get('img_path') or ''
    maps = dataset.data_prefix.get('seg_map_path')
    suffix = dataset.img_suffix
    if dataset.ann_file and os.path.isfile(dataset.ann_file):
        stems = [line.strip() for line in list_from_file(dataset.ann_file)]
        pictures = [os.path.join(folder, stem + suffix) for stem in stems]
    else:
        # mmseg tells capitals apart.
        pictures = list_images(folder, suffix.lower())
        pictures = [name for name in pictures if name.endswith(suffix)]
        stems = [os.path.relpath(name, folder)[: -len(suffix)] for name in pictures]
    if maps is None:
        return pictures, []
    return pictures, [
        os.path.join(maps, stem + dataset.seg_map_suffix) for stem in stems
    ]


def _check_classification_dataset(
    dataset: Any, path: str
) -> tuple[list[Problem], list[str]]:
    folder = dataset.img_prefix or ''
    classes = dataset.CLASSES
    if dataset.ann_file:
        if not os.path.isfile(dataset.ann_file):
            return [missing_file(dataset.ann_file, f'{path}.ann_file')], []
        return _check_label_list(dataset.ann_file, folder, classes, dataset.with_label)
    if not dataset.with_label:
        return [], list_images(folder, dataset.extensions)
    folders = class_folders(dataset)
    if not folders:
        return [
            Problem(folder, 'holds no class folders', 'one folder for each class')
        ], []
    if classes is not None and len(classes) != len(folders):
        return [
            Problem(
                folder,
                f'holds {len(folders)} class folders, the config names {len(classes)} '
                'classes',
                'set metainfo=dict(classes=(...)) of the data sets to the folders',
            )
        ], []
    problems, pictures = [], []
    for name in folders:
        members = list_images(os.path.join(folder, name), dataset.extensions)
        if not members:
            problems.append(
                Problem(os.path.join(folder, name), 'holds no picture', fatal=False)
            )
        pictures += members
    if not pictures:
        problems.append(
            Problem(folder, f'holds no picture ({", ".join(dataset.extensions)})')
        )
    return problems, pictures


def class_folders(dataset: BaseDataset) -> list[str] | None:
    """Name the folders that are the classes of a data set of mmpretrain's.

    Args:
        dataset: The data set, built with ``lazy_init=True``.

    Returns:
        The names in the order of the labels; None if folders are not its classes.
    """
    names = {cls.__name__ for cls in type(dataset).__mro__}
    if 'CustomDataset' not in names or dataset.ann_file or not dataset.with_label:
        return None
    folder = dataset.img_prefix or ''
    if not os.path.isdir(folder):
        return None
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def _check_label_list(
    ann_file: str, folder: str, classes: Sequence[str] | None, with_label: bool
) -> tuple[list[Problem], list[str]]:
    """Check mmpretrain's list of ``picture label`` lines."""
    problem = _check_lines(ann_file)
    if problem:
        return [problem], []
    bad, pictures = [], []
    for number, line in enumerate(list_from_file(ann_file), 1):
        name, _, label = line.strip().rpartition(' ')
        if not with_label:
            name, label = line, '0'
        is_label = label.isdecimal() and (classes is None or int(label) < len(classes))
        if not (name and is_label):
            bad.append(f'line {number} ({line.strip()[:60]!r})')
        else:
            pictures.append(os.path.join(folder, name))
    problems = []
    if bad:
        limit = f' below {len(classes)}' if classes is not None else ''
        problems.append(
            Problem(
                ann_file,
                f'{len(bad)} lines are not `picture label` with a label{limit}: '
                f'{examples(bad)}',
            )
        )
    return problems, pictures


def picture_problems(report: PictureReport, path: str) -> list[Problem]:
    """Put what was found about pictures in words."""
    problems = []
    if report.missing:
        problems.append(
            Problem(
                path,
                f'{len(report.missing)} of {report.total} pictures are not there: '
                f'{examples(report.missing)}',
                'copy them again, or take them out of the annotations',
            )
        )
    if report.broken:
        listed = [f'{name} {fault}' for name, fault in report.broken.items()]
        problems.append(
            Problem(
                path,
                f'{len(listed)} of {report.checked} pictures opened are no good: '
                f'{examples(listed)}',
                'copy them again, or take them out of the annotations',
            )
        )
    return problems
