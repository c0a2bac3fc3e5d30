"""A config against the classes and the files of its data, and what it would fail at late."""

import math
import re
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import METRICS

from ..errors import examples
from .problems import Problem
from .toolbox import find_class, option_key, type_name, walk

_HEADS = ('bbox_head', 'mask_head', 'decode_head', 'auxiliary_head', 'head')
# Results of the metrics that our configs have, behind the prefix: the form, an example.
_RESULTS = {
    'CocoMetric': (r'(bbox|segm)_(mAP(_\w+)?|AR@.+)|AR@.+|.+_precision', 'bbox_mAP'),
    'IoUMetric': (r'aAcc|m(IoU|Acc|Dice|Fscore|Precision|Recall)', 'mIoU'),
    'Accuracy': (r'top\d+(_.+)?', 'top1'),
}


def _listed(node: Any) -> list[dict]:
    return [node] if isinstance(node, dict) else list(node or ())


def check_num_classes(cfg: Config, dataset: BaseDataset) -> Iterator[Problem]:
    """Check that the heads predict the classes of a dataset that was checked."""
    classes = dataset.metainfo.get('classes')
    labels = [entry.get('gt_label') for entry in dataset.data_list]
    last = max((label for label in labels if isinstance(label, int)), default=-1)
    for where, node in walk(cfg.model, 'model'):
        count = node.get('num_classes') if isinstance(node, dict) else None
        if where.split('.')[-1].split('[')[0] not in _HEADS or count is None:
            continue
        right = max(count, last + 1) if classes is None else len(classes)
        held = f'labels up to {last}'
        if classes is not None:
            held = f'{right} classes ({examples(classes)})'
        if count != right:
            remedy = f'--cfg-options {option_key(where)}.num_classes={right}'
            what = f'is {count}, the dataset has {held}'
            yield Problem(f'{where}.num_classes', what, remedy)


def check_dilations(cfg: Config) -> Iterator[Problem]:
    """Check that the dilations of ASPP are smaller than the maps that it trains on.

    A 3x3 convolution with a larger dilation sees zeros except for its center: those
    weights never learn.
    """
    backbone = cfg.model.get('backbone') or {}
    crop = (cfg.model.get('data_preprocessor') or {}).get('size')
    ours = type_name(backbone.get('type')).startswith('GhostNet')
    for where, head in walk(cfg.model, 'model') if ours and crop else ():
        name = type_name(head.get('type')) if isinstance(head, dict) else ''
        if 'ASPPHead' not in name or head.get('in_index', -1) not in (-1, 3):
            continue
        stride = backbone.get('output_stride', 32)
        side = math.ceil(max(crop) / stride)
        dilations = fitting = tuple(head.get('dilations', (1, 6, 12, 18)))
        while max(fitting) >= side > 1:
            fitting = tuple(max(1, dilation // 2) for dilation in fitting)
        what = f'{dilations} do not fit output stride {stride}: a crop side of {max(crop)} '
        what += f'px gives a map side of {side}; a dilation of {max(dilations)} reads '
        remedy = f'--cfg-options {option_key(where)}.dilations="{fitting}"'
        if fitting != dilations:
            what += 'only zeros beside its center'
            yield Problem(f'{where}.dilations', what, remedy.replace(', ', ','))


def check_warm_up(cfg: Config) -> Iterator[Problem]:
    """Check that a warm-up ends: LinearLR of one step never leaves its start_factor."""
    for i, step in enumerate(_listed(cfg.get('param_scheduler'))):
        is_warm_up = type_name(step.get('type')) == 'LinearLR' and 'end' in step
        if is_warm_up and not step.get('convert_to_iter_based'):
            begin, end = step.get('begin', 0), step['end']
            factor = step.get('start_factor', 1 / 3)
            what = f'LinearLR of one step leaves lr at {factor:g}'
            remedy = f'set end={begin + 2} or more, or leave the schedule out'
            if end - begin < 2:
                where = f'param_scheduler[{i}]'
                yield Problem(where, f'{what} of its value (end={end})', remedy)


def check_metric_names(cfg: Config) -> Iterator[Problem]:
    """Check that what picks the best checkpoint, or stops early, is a metric's result.

    CheckpointHook finds out after the first validation, EarlyStoppingHook never.
    """
    forms, such = [], []
    for evaluator in _listed(cfg.get('val_evaluator')):
        kind = evaluator.get('type')
        prefix = evaluator.get('prefix')
        prefix = prefix or getattr(find_class(METRICS, kind, cfg), 'default_prefix', '')
        prefix = f'{prefix}/' if prefix else ''
        form, example = _RESULTS.get(type_name(kind), ('.+', '...'))
        forms.append(f'{prefix}({form})')
        such.append(prefix + example)
    default, custom = cfg.get('default_hooks') or {}, cfg.get('custom_hooks') or ()
    hooks = {f'default_hooks.{key}': hook for key, hook in default.items()}
    hooks |= {f'custom_hooks[{i}]': hook for i, hook in enumerate(custom)}
    for where, hook in hooks.items() if forms else ():
        kind = type_name((hook or {}).get('type'))
        key = {'CheckpointHook': 'save_best', 'EarlyStoppingHook': 'monitor'}.get(kind)
        names = hook.get(key) if key else None
        for name in [names] if isinstance(names, str) else names or ():
            if name != 'auto' and not any(re.fullmatch(form, name) for form in forms):
                what = f'val_evaluator has no result {name!r}'
                remedy = f'write a name such as {examples(such)}'
                yield Problem(f'{where}.{key}', what, remedy)


def check_class_names(
    cfg: Config, loader: str, dataset: BaseDataset, path: str
) -> Iterator[Problem]:
    """Check that a dataset names its classes if IoUMetric evaluates on it."""
    metrics = _listed(cfg.get(f'{loader}_evaluator'))
    needed = any(type_name(metric.get('type')) == 'IoUMetric' for metric in metrics)
    if needed and not dataset.metainfo.get('classes'):
        what = 'names no classes, without which IoUMetric fails'
        remedy = 'add metainfo=dict(classes=(...)), as in train_dataloader'
        yield Problem(f'{path}.metainfo', what, remedy)
