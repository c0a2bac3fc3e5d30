"""All checks of a config and of the data that it names."""

import inspect
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, METRICS, DefaultScope

from ..errors import UserError, examples
from .datasets import check_dataset, check_samples
from .problems import Problem, check_text, raise_if_fatal
from .toolbox import find_class, option_key, scope_of, type_name, walk

_HEADS = ('bbox_head', 'mask_head', 'decode_head', 'auxiliary_head', 'head')
# Results of the metrics that our configs have, behind the prefix: the form, an example.
_RESULTS = {
    'CocoMetric': (r'(bbox|segm)_(mAP(_\w+)?|AR@.+)|AR@.+|.+_precision', 'bbox_mAP'),
    'IoUMetric': (r'aAcc|m(IoU|Acc|Dice|Fscore|Precision|Recall)', 'mIoU'),
    'Accuracy': (r'top\d+(_.+)?', 'top1'),
}


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
    problems = list(_check_warm_up(cfg)) if 'train' in loaders else []
    problems += _check_metric_names(cfg) if 'val' in loaders else []
    if not data:
        note('preflight: the data are not looked at')
        return problems
    deadline = time.monotonic() + image_seconds
    folders: dict[str, int] = {}
    for loader in loaders:
        nodes = [node for _, node in walk(cfg.get(f'{loader}_dataloader'))]
        masks = any(isinstance(n, dict) and n.get('with_mask') for n in nodes)
        for path, dataset in build_datasets(cfg, f'{loader}_dataloader'):
            found, images = check_dataset(dataset, path, masks)
            problems += found
            if not images or any(problem.fatal for problem in found):
                continue
            problems += _check_classes(cfg, dataset, path)
            numbers = getattr(dataset, 'folder_to_idx', {})
            folders = folders or numbers
            # A part with a list has no class folders.
            if numbers and (differ := sorted(numbers.keys() ^ folders.keys())):
                what = f'its class folders are not those of train: {examples(differ)}'
                problems.append(Problem(path, f'{what} - make them; one may be empty'))
            left = deadline - time.monotonic()
            found, opened = check_samples(dataset, images, path, left, decode)
            problems += found
            note(f'preflight: {path}: {len(images)} images, {opened} opened')
    return list(dict.fromkeys(problems))


def build_datasets(cfg: Config, loader: str) -> list[tuple[str, BaseDataset]]:
    """Build the datasets of a loader, out of all wrappers, without their data.

    Returns:
        Places in the config, and the datasets that are derived from mmengine's.

    Raises:
        UserError: If one cannot be built.
    """
    built = []
    inside = re.compile(rf'{loader}(\.datasets?(\[\d+\])?)+')
    for path, node in walk(cfg.get(loader), loader):
        is_leaf = isinstance(node, dict) and not node.keys() & {'dataset', 'datasets'}
        if not is_leaf or not inside.fullmatch(path):
            continue
        classes = (node.get('metainfo') or {}).get('classes')
        if isinstance(classes, str):
            what = f'is the text {classes!r}, of which each letter would be a class - '
            what += f'write ({classes!r},) with a comma, or a file that exists'
            problem = Problem(f'{path}.metainfo.classes', what)
            problem = check_text(classes) if os.path.isfile(classes) else problem
            raise_if_fatal(filter(None, [problem]))
        try:
            cls = find_class(DATASETS, node.get('type'), cfg)
            # mmengine says which types there are in place of an unknown one.
            if cls is None or issubclass(cls, BaseDataset):
                takes = inspect.signature(cls or BaseDataset).parameters.values()
                if not any(
                    p.name == 'lazy_init' or p.kind == p.VAR_KEYWORD for p in takes
                ):
                    continue  # it cannot be built without its data
                scope = cfg.get('default_scope') or scope_of(cfg)
                with DefaultScope.overwrite_default_scope(scope):
                    built.append((path, DATASETS.build({**node, 'lazy_init': True})))
        except Exception as error:
            raise UserError(f'{path}: {error}') from error
    return built


def _listed(node: Any) -> list:
    return [node] if isinstance(node, dict | str) else list(node or ())


def _check_classes(cfg: Config, dataset: BaseDataset, path: str) -> Iterator[Problem]:
    """Check names and number of the classes, and the labels that mmpretrain has listed."""
    classes = dataset.metainfo.get('classes') or ()
    count, names = len(classes), examples(classes)
    twice = [name for name, times in Counter(classes).items() if times > 1]
    if twice and classes != dataset.METAINFO.get('classes'):  # ImageNet has two cranes
        what = f'has {examples(twice)} more than once - give each class its own name'
        yield Problem(f'{path}.metainfo.classes', what)
    labels = [e.get('gt_label') for e in dataset.data_list]
    labels = [label for label in labels if isinstance(label, int)] or [0]
    first, last = min(labels), max(labels)
    for where, node in walk(cfg.model, 'model'):
        found = node.get('num_classes') if isinstance(node, dict) else None
        if not found or where.split('.')[-1].split('[')[0] not in _HEADS:
            continue
        if count not in (0, found) and path.startswith('train'):
            what = f'is {found}, the dataset has {count} classes ({names}) - --cfg-options '
            what += f'{option_key(where)}.num_classes={count}'
            yield Problem(f'{where}.num_classes', what)
        elif dataset.ann_file and (first < 0 or last >= (count or found)):
            what = f'has labels from {first} to {last} for {count or found} classes - '
            yield Problem(dataset.ann_file, f'{what}number them from 0, or add classes')


def _check_warm_up(cfg: Config) -> Iterator[Problem]:
    """Check that a warm-up ends: LinearLR of one step never leaves its start_factor."""
    for i, step in enumerate(_listed(cfg.get('param_scheduler'))):
        begin, end = step.get('begin', 0), step.get('end', float('inf'))
        is_warm_up = type_name(step.get('type')) == 'LinearLR'
        if is_warm_up and end - begin < 2 and not step.get('convert_to_iter_based'):
            factor = step.get('start_factor', 1 / 3)
            what = f'LinearLR of one step leaves lr at {factor:g} of its value - end='
            yield Problem(f'param_scheduler[{i}]', f'{what}{begin + 2} or more')


def _check_metric_names(cfg: Config) -> Iterator[Problem]:
    """Check that a metric gives what picks the best checkpoint."""
    forms, such = [], []
    for evaluator in _listed(cfg.get('val_evaluator')):
        cls = find_class(METRICS, evaluator.get('type'), cfg)
        prefix = evaluator.get('prefix') or getattr(cls, 'default_prefix', None)
        form, example = _RESULTS.get(type_name(evaluator.get('type')), ('.+', '...'))
        forms.append(f'{prefix}/({form})' if prefix else form)
        such.append(f'{prefix}/{example}' if prefix else example)
    names = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')
    for name in _listed(names):
        if name != 'auto' and forms and not any(re.fullmatch(f, name) for f in forms):
            what = f'val_evaluator has no result {name!r} - write a name such as '
            yield Problem('default_hooks.checkpoint.save_best', what + examples(such))
