"""Datasets as they lie on the disk, read as the toolbox reads them."""

import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset

from ..errors import examples, near_file
from .annotations import read_coco
from .images import check_files, image_fault, image_size, is_hidden, load_image
from .problems import Problem, check_text
from .toolbox import option_key

_CONVERT = 'new_config.py writes label maps that fit (--label-values, --ignore-label)'
_PACKAGES = {'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'mmghost'}


def check_dataset(
    dataset: BaseDataset, path: str, masks: bool = False
) -> tuple[list[Problem], list[str]]:
    """Check one dataset's folders and annotations.

    Args:
        dataset: The dataset, built with ``lazy_init=True``. Its ``data_list`` is filled,
            except for COCO.
        path: Its place in the config, such as ``train_dataloader.dataset``.
        masks: Whether its pipeline reads the masks of objects.

    Returns:
        The problems, and the images that it names.
    """
    source, maps = dataset.ann_file or '', []
    places = (dataset.data_root, source, *dataset.data_prefix.values())
    gone = [place for place in places if place and not os.path.exists(place)]
    if getattr(dataset, 'backend_args', None):
        return [], []  # not on the disk
    if gone:
        what = f'there is no {gone[0]} (seen from {os.getcwd()}){near_file(gone[0])} - '
        what += f'--cfg-options {option_key(path)}.data_root=PATH for data elsewhere'
        return [Problem(path, what)], []
    if os.path.isfile(source) and (problem := check_text(source)):
        return [problem], []
    cls = type(dataset)
    kinds = {base.__name__ for base in cls.__mro__}
    methods = (cls.load_data_list, cls.parse_data_info)  # subclasses may have their own
    if {method.__qualname__.split('.')[0] for method in methods} == {'CocoDataset'}:
        classes = dataset.metainfo.get('classes') or ()
        content, problems = read_coco(source, classes, masks, dataset.test_mode)
        folder = dataset.data_prefix.get('img') or ''
        names = [str(entry.get('file_name')) for entry in content.get('images', ())]
        images = [os.path.join(folder, name) for name in names]
    elif kinds & {'BaseSegDataset', 'CustomDataset'}:
        try:
            dataset.data_list = dataset.load_data_list()
        except Exception as error:  # the training would end in the same way
            remedy = ' - each line is `image label`' * bool(source)
            return [Problem(source or path, f'cannot be read: {error}{remedy}')], []
        images = [entry['img_path'] for entry in dataset.data_list]
        maps = [e['seg_map_path'] for e in dataset.data_list if 'seg_map_path' in e]
        problems = list(_check_list(dataset, path, images))
    else:  # other annotations, such as those of LVIS
        return [], []
    if not any(problem.fatal for problem in problems):
        problems += check_files(images + maps, path)
    return problems, images


def _check_list(dataset: Any, path: str, images: list[str]) -> Iterator[Problem]:
    """Check the images and classes that mmseg or mmpretrain has listed."""
    folder = dataset.data_prefix.get('img_path') or '.'
    classes = list(dataset.metainfo.get('classes') or ())
    folders = sorted(getattr(dataset, 'folder_to_idx', ()))
    places = {os.path.dirname(image) for image in images}  # few, of a million images
    parts = {part for p in places for part in Path(os.path.relpath(p, folder)).parts}
    hidden = sorted(filter(is_hidden, parts.union(folders)))
    if hidden and not dataset.ann_file:
        what = f'the toolbox reads {examples(hidden)} in it as part of the data - '
        yield Problem(folder, f'{what}move it away; it can be deleted if it is litter')
    elif not images:
        yield Problem(folder, f'holds no image *{getattr(dataset, "img_suffix", "")}')
    elif sorted(classes) == folders != classes:
        what = f'is not in the order of the folders, which number the labels: {folders}'
        yield Problem(f'{path}.metainfo.classes', what)
    elif not classes and not path.startswith('train') and hasattr(dataset, 'label_map'):
        what = 'names no classes, without which IoUMetric fails - add classes=(...)'
        yield Problem(f'{path}.metainfo', what)


def check_samples(
    dataset: BaseDataset, images: Sequence[str], path: str, seconds: float, decode: bool
) -> tuple[list[Problem], int]:
    """Open images of a checked dataset, and their label maps, in random order.

    Returns:
        What was found, and how many images were opened within some ``seconds``.
    """
    steps = dataset.pipeline.transforms
    load = next((step for step in steps if isinstance(step, LoadImageFromFile)), None)
    load_map = next((step for step in steps if hasattr(step, '_load_seg_map')), None)
    # A transform of the user's own may give label maps the values that they lack.
    foreign = {type(step).__module__.split('.')[0] for step in steps} - _PACKAGES
    maps = load_map and not foreign and hasattr(dataset, 'label_map')
    entries = dataset.data_list if maps else [dict(img_path=image) for image in images]
    end, opened, faults, held = time.monotonic() + seconds, [], [], {}
    for entry in random.Random(0).sample(entries, len(entries)):
        if time.monotonic() >= end:
            break
        opened.append(entry['img_path'])
        # A loading transform of the user's own may read what OpenCV cannot.
        fault = load and image_fault(opened[-1], load, decode)
        faults += [f'{opened[-1]} {fault}'] if fault else []
        if maps and not fault:
            try:
                values = _label_values(entry, load_map)
                held |= dict.fromkeys(values, entry['seg_map_path'])
            except Exception as error:  # Pillow and OpenCV have many
                faults.append(f'{entry["seg_map_path"]} {error}')
    if faults:
        what = f'{len(faults)} of {len(opened)} images opened cannot be used: '
        remedy = 'replace them, or convert images to 8-bit PNG or JPEG'
        return [Problem(path, f'{what}{examples(faults)} - {remedy}')], len(opened)
    problems = list(_check_range(opened[:16], path, load)) if load else []
    if opened and maps and dataset.metainfo.get('classes'):
        problems += _check_labels(dataset, held, path, len(opened))
    return problems, len(opened)


def _label_values(entry: dict, load_map: Any) -> list[int]:
    """Return the values of a label map; raise a ValueError if it does not fit its image."""
    labels = load_map.transform({**entry, 'seg_fields': []})['gt_seg_map']
    if labels.ndim != 2:
        what = f'has {labels.shape[-1]} channels, not one number for each pixel'
        raise ValueError(f'{what}; {_CONVERT}')
    size = image_size(entry['img_path'])
    if size not in (None, labels.shape):
        raise ValueError('is {1}x{0}, its image {3}x{2}'.format(*labels.shape, *size))
    return np.flatnonzero(np.bincount(labels.ravel())).tolist()


def _check_range(paths: Sequence[str], where: str, load: Any) -> Iterator[Problem]:
    """Check that values survive loading: OpenCV reads 16 bits as 8 bits, value // 256."""
    loaded = (load_image(path, load) for path in paths)
    most = max((float(i.max()) for i in loaded if i is not None), default=255)
    if most <= 64:
        raw = load_image(paths[0], LoadImageFromFile(color_type='unchanged'))
        deep = raw is not None and raw.dtype == np.uint16
        what = f'{len(paths)} images have values up to {most:g} of 255 after loading'
        what += f'; {paths[0]} has up to {raw.max()} in 16 bits' if deep else ''
        what += ' - convert them to 8 bit so that they use the range from 0 to 255'
        yield Problem(where, what, fatal=deep and most < 32)


def _check_labels(
    dataset: Any, held: dict[int, str], where: str, count: int
) -> Iterator[Problem]:
    """Check values of label maps: one that is no class is an assertion of CUDA, later."""
    classes = dataset.metainfo['classes']
    zero = ' (after reduce_zero_label)' * dataset.reduce_zero_label
    last = len(classes) - 1
    wrong = sorted(held.keys() - {*range(last + 1), dataset.ignore_index})
    unseen = [f'{name} ({i})' for i, name in enumerate(classes) if i not in held]
    if wrong:
        what = f'label maps hold {examples(wrong, 5)}{zero}, such as {held[wrong[0]]}; '
        what += f'the classes go from 0 to {last}, {dataset.ignore_index} is ignored'
        yield Problem(where, f'{what} - correct the classes; {_CONVERT}')
    elif unseen and where.startswith('train'):
        what = f'no pixel of {count} label maps is {examples(unseen)}{zero}'
        if only := len(unseen) >= last and dataset.ignore_index in held:
            what += f'; {dataset.ignore_index} is ignored: if it is a class, {_CONVERT}'
        what += ' - check the order of the classes, or take them out'
        yield Problem(where, what, only or len(unseen) > last)
