"""Datasets as they lie on the disk, read as the toolbox reads them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

from ..errors import examples
from .annotations import check_coco, load_coco
from .images import check_files, is_hidden, list_images
from .problems import Problem, check_text, missing_file, near_file
from .toolbox import option_key

_KINDS = ('CocoDataset', 'BaseSegDataset', 'CustomDataset')


def check_dataset(
    dataset: BaseDataset,
    path: str,
    masks: bool = False,
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
    kinds = {cls.__name__: cls for cls in type(dataset).__mro__}
    backend = (getattr(dataset, 'backend_args', None) or {}).get('backend', 'local')
    if backend != 'local':
        return [], []
    problems = list(_check_places(dataset, path))
    if problems or kinds.keys().isdisjoint(_KINDS):
        return problems, []
    source, maps = dataset.ann_file or '', []
    if 'CocoDataset' in kinds:
        if type(dataset).load_data_list is not kinds['CocoDataset'].load_data_list:
            return [], []  # LVIS and panoptic data have other entries
        if not os.path.isfile(source):
            return [missing_file(source, f'{path}.ann_file')], []
        content = load_coco(source)
        if isinstance(content, Problem):
            return [content], []
        classes = dataset.metainfo.get('classes') or ()
        problems = check_coco(content, source, classes, masks, dataset.test_mode)
        folder = dataset.data_prefix.get('img') or ''
        names = [image.get('file_name', '') for image in content['images']]
        images = [os.path.join(folder, name) for name in names]
    else:
        try:
            dataset.data_list = dataset.load_data_list()
        except Exception as error:  # the training would end in the same way
            remedy = 'each line is `image label`' if source else ''
            return [Problem(source or path, f'cannot be read: {error}', remedy)], []
        images = [entry['img_path'] for entry in dataset.data_list]
        maps = [e['seg_map_path'] for e in dataset.data_list if 'seg_map_path' in e]
        problems = list(_check_list(dataset, path, images, maps))
    if not any(problem.fatal for problem in problems):
        problems += check_files(images + maps, path, source)
    return problems, images


def _check_places(dataset: Any, path: str) -> Iterator[Problem]:
    """Check that folders and files exist, and that names are plain text."""
    root, source = dataset.data_root, dataset.ann_file or ''
    if root and '://' not in root and not os.path.isdir(root):
        key = f'{option_key(path)}.data_root=PATH'
        remedy = f'link or move the data there, or pass --cfg-options {key}'
        what = f'there is no folder {root} (seen from {os.getcwd()})'
        yield Problem(f'{path}.data_root', what, f'{remedy}; likewise for all loaders')
        return
    for key, folder in dataset.data_prefix.items():
        if folder and '://' not in folder and not os.path.isdir(folder):
            what = f'there is no folder {folder}{near_file(folder)}'
            yield Problem(f'{path}.data_prefix.{key}', what)
    if source and '://' not in source and not os.path.exists(source):
        yield missing_file(source, f'{path}.ann_file')
    elif source.endswith(('.txt', '.json')) and (problem := check_text(source)):
        yield problem
    elif not source and getattr(dataset, 'with_label', False):
        # mmengine leaves out hidden files, but takes hidden folders for classes.
        inside = Path(dataset.img_prefix).glob('*')
        yield from _hidden(
            dataset.img_prefix,
            [p.name for p in inside if is_hidden(p.name) and p.is_dir()],
        )


def _hidden(folder: str, names: list[str]) -> Iterator[Problem]:
    what = f'the toolbox reads {examples(sorted(names))} in it as part of the data'
    remedy = 'move it away; what Jupyter and macOS leave there can be deleted'
    if names:
        yield Problem(folder, what, remedy)


def _check_list(
    dataset: Any, path: str, images: list[str], maps: list[str]
) -> Iterator[Problem]:
    """Check the images, label maps and labels that mmseg or mmpretrain has listed."""
    folder = dataset.data_prefix.get('img_path') or '.'
    if not images:
        end, others = dataset.img_suffix, list_images(folder)
        remedy = f'the images there end in {Path(others[0]).suffix}' if others else ''
        yield Problem(folder, f'holds no image that ends in {end}', remedy)
        return
    if not dataset.ann_file:
        inside = {Path(os.path.relpath(image, folder)).parent for image in images}
        yield from _hidden(
            folder, [str(p) for p in inside if any(map(is_hidden, p.parts))]
        )
    classes = list(dataset.metainfo.get('classes') or ())
    folders = sorted(getattr(dataset, 'folder_to_idx', ()))
    if maps and not any(map(os.path.exists, maps)):
        labels = list_images(dataset.data_prefix['seg_map_path'])
        what = f'no image has a label map; {images[0]} should have {maps[0]}'
        remedy = f'set img_suffix and seg_map_suffix; there is {examples(labels, 1)}'
        yield Problem(path, what, remedy)
    elif sorted(classes) == folders != classes:
        what = f'{examples(classes)} is not the order of the folders, which number the labels'
        yield Problem(f'{path}.metainfo.classes', what, f'write {tuple(folders)}')
    elif not maps and dataset.with_label and path.startswith('train'):
        seen = {entry['gt_label'] for entry in dataset.data_list}
        unseen = [str(name) for i, name in enumerate(classes) if i not in seen]
        what = f'no image is of the classes {examples(unseen)}'
        remedy = 'add images, or remove the folder from all splits'
        if unseen:
            yield Problem(path, what, remedy, fatal=False)
