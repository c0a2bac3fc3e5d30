"""All checks of a config and of the data that it names."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope

from ..errors import UserError, examples
from . import config as checks
from .datasets import check_dataset
from .images import check_images, check_values
from .label_maps import check_label_maps
from .problems import Problem, check_text, missing_file
from .toolbox import find_class, toolbox_of, type_name, walk

_PACKAGES = {'mmcv', 'mmengine', 'mmdet', 'mmseg', 'mmpretrain', 'mmghost'}


def preflight(
    cfg: Config,
    loaders: Sequence[str] = ('train', 'val'),
    image_seconds: float = 30.0,
    note: Callable[[str], None] = print,
    decode: bool = False,
    data: bool = True,
) -> list[Problem]:
    """Run every check that a config asks for.

    Args:
        cfg: The config, all options merged.
        loaders: Which data are needed: ``'train'``, ``'val'``, ``'test'``.
        image_seconds: Time for opening images, over all of them.
        note: Called with a line on what was looked at.
        decode: Decode every image that is opened, instead of looking at its ends.
        data: Look at the data, not at the config alone.

    Returns:
        What was found, each thing once.

    Raises:
        UserError: If a dataset cannot be built from the config.
    """
    problems: list[Problem] = []
    if 'train' in loaders:
        problems += [*checks.check_dilations(cfg), *checks.check_warm_up(cfg)]
    if 'val' in loaders:
        problems += checks.check_metric_names(cfg)
    if not data:
        note('preflight: the data are not looked at')
        return problems
    deadline = time.monotonic() + image_seconds
    folders: dict[str, set[str]] = {}
    for loader in loaders:
        for path, dataset in build_datasets(cfg, f'{loader}_dataloader'):
            masks, train = reads_masks(cfg, f'{loader}_dataloader'), loader == 'train'
            found, images = check_dataset(dataset, path, masks)
            problems += [*checks.check_class_names(cfg, loader, dataset, path), *found]
            if not images or any(problem.fatal for problem in found):
                continue
            problems += _check_class_folders(dataset, path, folders)
            problems += checks.check_num_classes(cfg, dataset) if train else []
            load = [t for t in dataset.pipeline.transforms if hasattr(t, 'color_type')]
            transform, left = load[0] if load else None, deadline - time.monotonic()
            found, opened = check_images(images, path, transform, left, decode)
            problems += found or check_values(images if opened else (), path, transform)
            left = deadline - time.monotonic()
            found, maps = check_label_maps(dataset, path, left, train)
            problems += found
            more = f', {maps} label maps looked into' if maps else ''
            note(f'preflight: {path}: {len(images)} images, {opened} opened{more}')
    return list(dict.fromkeys(problems))


def build_datasets(cfg: Config, loader: str) -> list[tuple[str, BaseDataset]]:
    """Build the datasets of a loader without reading their data.

    Args:
        cfg: The config.
        loader: ``'train_dataloader'`` and so on.

    Returns:
        The datasets, out of all wrappers, with their places in the config. Of their
        pipelines they have the transforms that load. Datasets that are not derived from
        mmengine's BaseDataset are left out.

    Raises:
        UserError: If one cannot be built.
    """
    built = []
    for path, node in _leaves(
        (cfg.get(loader) or {}).get('dataset'), f'{loader}.dataset'
    ):
        _check_metainfo(node, path)
        try:
            cls = find_class(DATASETS, node.get('type'), cfg)
            # mmengine says which types there are in place of an unknown one.
            if cls is None or issubclass(cls, BaseDataset):
                load = _load_transforms(cfg, node.get('pipeline') or ())
                config = {**node, 'lazy_init': True, 'pipeline': load}
                scope = cfg.get('default_scope') or toolbox_of(cfg).scope
                with DefaultScope.overwrite_default_scope(scope):
                    built.append((path, DATASETS.build(config)))
        except Exception as error:
            raise UserError(f'{path}: {error}') from error
    return built


def _load_transforms(cfg: Config, pipeline: Sequence[dict]) -> list[dict]:
    """Return the transforms that load what can be checked."""
    classes = [find_class(TRANSFORMS, step['type'], cfg) for step in pipeline]
    modules = [cls.__module__.split('.')[0] for cls in classes if cls is not None]
    # A transform of the user's own may give label maps the values that they lack.
    known = {'LoadImageFromFile', 'LoadAnnotations'}
    known -= {'LoadAnnotations'} if set(modules) - _PACKAGES else set()
    return [step for step in pipeline if type_name(step['type']) in known]


def _check_metainfo(node: dict, path: str) -> None:
    """Raise a UserError for class names that the toolbox would not read as they are meant."""
    metainfo, where = node.get('metainfo') or {}, f'{path}.metainfo.classes'
    classes, problem = metainfo.get('classes', node.get('classes')), None
    if isinstance(classes, str):
        file = os.path.expanduser(classes)
        if os.path.isfile(file):
            problem = check_text(file)
        elif classes.endswith('.txt'):
            problem = missing_file(file, where)
        else:
            what = f'is the text {classes!r}, of which each letter would be a class'
            problem = Problem(where, what, f'write ({classes!r},) with a comma')
    if problem:
        raise UserError(str(problem))


def reads_masks(cfg: Config, loader: str) -> bool:
    """Return True if a loader's pipeline reads the masks of objects."""
    nodes = (node for _, node in walk(cfg.get(loader)) if isinstance(node, dict))
    return any(node.get('with_mask') is True for node in nodes)


def _leaves(node: Any, path: str) -> Iterator[tuple[str, dict]]:
    """Yield the datasets inside wrappers such as RepeatDataset and ConcatDataset."""
    if isinstance(node, dict):
        parts = [('', node.get('dataset'))] if 'dataset' in node else []
        parts += [(f's[{i}]', p) for i, p in enumerate(node.get('datasets') or ())]
        for key, part in parts:
            yield from _leaves(part, f'{path}.dataset{key}')
        if not parts:
            yield path, node


def _check_class_folders(
    dataset: BaseDataset, path: str, first: dict[str, set[str]]
) -> list[Problem]:
    """Check that all datasets have the same class folders, which number the labels."""
    folders = set(getattr(dataset, 'folder_to_idx', ()))
    other, expected = next(iter(first.items()), (path, folders))
    if folders:
        first.setdefault(path, folders)
    differ = examples(sorted(folders ^ expected))
    what = f'its class folders differ from those of {other}: {differ}'
    remedy = 'make the folders that are missing; one may be empty'
    return [Problem(path, what, remedy)] if folders and differ else []
