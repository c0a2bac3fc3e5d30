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


def check_dataset(
    dataset: BaseDataset,
    path: str,
    annotations: dict[str, Any] | None = None,
    masks: bool = False,
) -> tuple[list[Problem], list[str]]:
    """Check one dataset's folders and annotations.

    Args:
        dataset: The dataset, built with ``lazy_init=True``. Its ``data_list`` is filled,
            except for COCO.
        path: Its place in the config, such as ``train_dataloader.dataset``.
        annotations: Parsed COCO files by path; what is parsed here is added.
        masks: Whether its pipeline reads the masks of objects.

    Returns:
        The problems, and the images that it names.
    """
    backend = getattr(dataset, 'backend_args', None) or {}
    kinds = {cls.__name__ for cls in type(dataset).__mro__}
    if backend.get('backend', 'local') != 'local':
        return [], []
    problem = check_root(dataset, path) or _check_names(dataset, path)
    source = dataset.ann_file or ''
    if source and problem is None and '://' not in source and not os.path.isdir(source):
        if not os.path.isfile(source):
            problem = missing_file(source, f'{path}.ann_file')
        elif source.endswith(('.txt', '.json')) and 'CocoDataset' not in kinds:
            problem = check_text(source)
    if problem or not kinds & {'CocoDataset', 'BaseSegDataset', 'CustomDataset'}:
        return [problem] if problem else [], []
    if 'CocoDataset' in kinds:
        annotations = {} if annotations is None else annotations
        problems = load_coco(source, f'{path}.ann_file', annotations)
        if problems:
            return problems, []
        content, classes = annotations[source], dataset.metainfo.get('classes') or ()
        problems = check_coco(content, source, classes, masks, dataset.test_mode)
        names = [image.get('file_name', '') for image in content['images']]
        images = [os.path.join(dataset.data_prefix.get('img') or '', n) for n in names]
        maps = []
    else:
        folder = dataset.data_prefix.get('img_path') or '.'
        # mmengine leaves out hidden files, but not hidden folders.
        hidden = {name for name in os.listdir(folder) if is_hidden(name)}
        hidden = {name for name in hidden if os.path.isdir(os.path.join(folder, name))}
        if hidden and not source and 'CustomDataset' in kinds and dataset.with_label:
            return [_hidden(folder, hidden)], []
        try:
            dataset.data_list = dataset.load_data_list()
        except Exception as error:  # the training would end in the same way
            remedy = 'each line is `image label`' if source else ''
            return [Problem(source or path, f'cannot be read: {error}', remedy)], []
        entries = dataset.data_list
        images = [entry['img_path'] for entry in entries]
        maps = [entry['seg_map_path'] for entry in entries if 'seg_map_path' in entry]
        problems = list(_check_folders(dataset, path, images, maps))
    if not any(problem.fatal for problem in problems):
        problems += check_files(images + maps, path, source)
    return problems, images


def _hidden(folder: str, names: set[str]) -> Problem:
    what = f'the toolbox reads {examples(sorted(names))} in it as part of the data'
    remedy = 'move it away; what Jupyter and macOS leave there can be deleted'
    return Problem(folder, what, remedy)


def check_root(dataset: BaseDataset, path: str) -> Problem | None:
    """Check that a dataset's root and folders exist."""
    root = dataset.data_root
    if root and '://' not in root and not os.path.isdir(root):
        what = f'there is no folder {root} (seen from {os.getcwd()})'
        remedy = (
            'link or move the data there, or pass --cfg-options '
            f'{option_key(path)}.data_root=PATH, also for the other loaders and evaluators'
        )
        return Problem(f'{path}.data_root', what, remedy)
    for key, folder in dataset.data_prefix.items():
        if folder and '://' not in folder and not os.path.isdir(folder):
            what = f'there is no folder {folder}{near_file(folder)}'
            return Problem(f'{path}.data_prefix.{key}', what)
    return None


def _check_names(dataset: BaseDataset, path: str) -> Problem | None:
    names = [str(name) for name in dataset.metainfo.get('classes') or ()]
    odd = [repr(name) for name in names if name.strip('\ufeff') != name or not name]
    what = f'are empty or begin with a byte order mark: {examples(odd)}'
    remedy = 'save their list as UTF-8 without BOM and without empty lines'
    return Problem(f'{path}.metainfo.classes', what, remedy) if odd else None


def _check_folders(
    dataset: Any, path: str, images: list[str], maps: list[str]
) -> Iterator[Problem]:
    """Check what mmseg and mmpretrain make of folders."""
    folder = dataset.data_prefix.get('img_path') or '.'
    if not images:
        what = f'holds no image that ends in {dataset.img_suffix}'
        others = examples(sorted({Path(name).suffix for name in list_images(folder)}))
        yield Problem(
            folder, what, f'the images there end in {others or "nothing known"}'
        )
        return
    inside = {Path(os.path.relpath(image, folder)).parent for image in images}
    hidden = {str(part) for part in inside if any(map(is_hidden, part.parts))}
    if hidden and not dataset.ann_file:
        yield _hidden(folder, hidden)
        return
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
    elif not maps and dataset.with_label and not dataset.test_mode:
        seen = {entry['gt_label'] for entry in dataset.data_list}
        unseen = [str(name) for i, name in enumerate(classes) if i not in seen]
        what = f'no image is of the classes {examples(unseen)}'
        if unseen:
            yield Problem(path, what, 'take them out, or add images', fatal=False)
