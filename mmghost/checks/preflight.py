"""Is everything there that a training needs? Told before it starts, as data.

Every check returns a list of :class:`Problem`; :func:`preflight` runs those that a
config asks for. The doors run it before they build anything, :class:`PreflightHook` does
so under the toolboxes' own tools.
"""

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import CheckpointHook
from mmengine.registry import DATASETS, LOOPS, DefaultScope
from mmengine.runner import Runner

from ..errors import UserError, did_you_mean, examples
from .toolbox import option_key
from .toolbox import toolbox_of, type_name, walk
from .coco_values import is_id
from .counts import check_count
from .annotations import (
    Problem,
    check_coco,
    check_dataset,
    class_folders,
    load_coco,
    missing_file,
    near_file,
    picture_problems,
)
from .heads import OUR_BACKBONES, check_channels, check_heads
from .label_maps import check_label_maps, label_map_problems
from .images import check_pictures

# What a runner reads of a config. Other names at the top are variables of the config, but
# one that nearly is one of these would be ignored in silence.
# fmt: off
RUNNER_KEYS = (
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader',
    'train_cfg', 'val_cfg', 'test_cfg', 'auto_scale_lr', 'optim_wrapper',
    'param_scheduler', 'val_evaluator', 'test_evaluator', 'default_hooks',
    'custom_hooks', 'data_preprocessor', 'load_from', 'resume', 'launcher', 'env_cfg',
    'log_processor', 'log_level', 'visualizer', 'default_scope', 'randomness',
    'experiment_name', 'custom_imports', 'tta_model', 'tta_pipeline',
)
HEADS = ('bbox_head', 'mask_head', 'decode_head', 'auxiliary_head', 'head')
# fmt: on


def preflight(
    cfg: Config,
    loaders: Sequence[str] = ('train', 'val'),
    picture_seconds: float = 30.0,
    note: Callable[[str], None] = print,
    decode: bool = False,
    progress: Callable[[str, int, int], None] = lambda path, done, total: None,
    data: bool = True,
) -> list[Problem]:
    """Run every check that a config asks for.

    Args:
        cfg: The config, all options merged.
        loaders: Which data are needed: ``'train'``, ``'val'``, ``'test'``.
        picture_seconds: Time for opening pictures, over all of them.
        note: Called with a line on what was looked at, and how long that took.
        decode: Decode every picture that is opened, instead of looking at its ends.
        progress: Called with the data set's place, how many pictures were opened and
            how many there are.
        data: Look at the data, not at the config alone.

    Returns:
        What was found, each thing once.

    Raises:
        UserError: If a data set cannot be built from the config.
    """
    problems = check_keys(cfg)
    if 'train' in loaders:
        problems += check_weights(cfg)
        # Settings of the wrong kind are told where the model is built.
        with suppress(TypeError, ValueError, AttributeError):
            problems += check_channels(cfg) + check_heads(cfg)
    if not data:
        note('preflight: the data are not looked at')
        return list(dict.fromkeys(problems))
    annotations: dict[str, Any] = {}
    for loader in loaders:
        masks = reads_masks(cfg, f'{loader}_dataloader')
        for path, dataset in build_datasets(cfg, f'{loader}_dataloader'):
            found, pictures = check_dataset(dataset, path, annotations, masks)
            problems += found
            if not found:
                problems += check_count(dataset, path, pictures)
            if loader == 'train':
                problems += check_num_classes(cfg, dataset)
            if pictures and not any(problem.fatal for problem in found):
                report = check_pictures(
                    pictures,
                    picture_seconds,
                    decode=decode,
                    progress=partial(progress, path),
                )
                picture_seconds = max(0.0, picture_seconds - report.seconds)
                problems += picture_problems(report, path)
                maps = check_label_maps(dataset, picture_seconds, report.broken)
                kinds = 'pictures' if maps is None else 'pictures and label maps'
                note(
                    f'preflight: {path}: {report.total} {kinds} named, '
                    f'{report.checked} opened in {report.seconds:.1f} s'
                )
                if maps is not None:
                    picture_seconds = max(0.0, picture_seconds - maps.seconds)
                    problems += label_map_problems(maps, path)
                    note(
                        f'preflight: {path}: {maps.checked} of {maps.total} label maps '
                        f'looked into in {maps.seconds:.1f} s'
                    )
        problems += check_evaluator(cfg, loader, annotations)
    return list(dict.fromkeys(problems))


def raise_if_fatal(
    problems: Iterable[Problem], note: Callable[[str], None] = print
) -> None:
    """Raise for the problems that must be mended, and tell the others.

    Args:
        problems: What :func:`preflight` found.
        note: Called with each problem that can be lived with.

    Raises:
        UserError: Naming every fatal problem.
    """
    problems = list(problems)
    for problem in problems:
        if not problem.fatal:
            note(f'preflight: {problem}')
    fatal = [problem for problem in problems if problem.fatal]
    if len(fatal) == 1:
        raise UserError(str(fatal[0]))
    if fatal:
        listed = '\n'.join(f'  {problem}' for problem in fatal[:20])
        more = f'\n  and {len(fatal) - 20} more' if len(fatal) > 20 else ''
        raise UserError(f'{len(fatal)} things to mend first:\n{listed}{more}')


def check_keys(cfg: Config) -> list[Problem]:
    """Find names at the top of a config that nearly are names that a runner reads."""
    problems = []
    for key in cfg:
        if key in RUNNER_KEYS or not isinstance(cfg.get(key), dict | list):
            continue
        hint = did_you_mean(key, RUNNER_KEYS, count=1)
        meant = hint[len('; did you mean ') : -1]
        # One letter wrong, missing or too many; `val_dataset` is a variable.
        if hint and _one_edit(key, meant):
            problems.append(Problem(key, f'nothing in the config is called so{hint}'))
    return problems + _check_checkpoint_hook(cfg) + _check_train_loop(cfg)


def _check_checkpoint_hook(cfg: Config) -> list[Problem]:
    """Find arguments that CheckpointHook takes, and fails on at the first checkpoint."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint')
    if not isinstance(hook, dict) or type_name(hook.get('type')) != 'CheckpointHook':
        return []
    known = {
        'type',
        'priority',
        '_scope_',
    }  # the last is put in by `_base_ = 'mmdet::'`
    for function in (CheckpointHook.__init__, Runner.save_checkpoint):
        known |= set(inspect.signature(function).parameters)
    return [
        Problem(
            f'default_hooks.checkpoint.{key}',
            f'CheckpointHook has no argument {key!r}{did_you_mean(key, known)}',
        )
        for key in hook
        if key not in known
    ]


def _check_train_loop(cfg: Config) -> list[Problem]:
    """Find settings that the training's loop does not take."""
    loop = cfg.get('train_cfg')
    if not isinstance(loop, dict):
        return []
    kind = loop.get('type')
    if kind is None:
        kind = 'EpochBasedTrainLoop' if loop.get('by_epoch') else 'IterBasedTrainLoop'
    cls = LOOPS.get(kind) if isinstance(kind, str) else kind
    if not callable(cls):  # unknown, or no type at all: building it tells that
        return []
    parameters = inspect.signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    known = {*parameters, 'type', 'by_epoch', '_scope_'} - {'runner', 'dataloader'}
    return [
        Problem(
            f'train_cfg.{key}',
            f'{cls.__name__} has no such setting{did_you_mean(key, known, 1)}',
        )
        for key in loop
        if key not in known
    ]


def _one_edit(a: str, b: str) -> bool:
    return difflib.SequenceMatcher(None, a, b).ratio() > 0.88


def check_weights(cfg: Config) -> list[Problem]:
    """Check that the weight files that the model starts from are there.

    Frozen layers and kept batch norm statistics without weights are told, too: they
    would stay as random as they are.
    """
    problems = []
    for path, node in walk(cfg.model, 'model'):
        if not isinstance(node, dict):
            continue
        name = node.get('checkpoint')
        is_path = isinstance(name, str) and '://' not in name
        if type_name(node.get('type')) != 'Pretrained' or not is_path:
            continue
        if not os.path.isfile(os.path.expanduser(name)):
            problems.append(
                Problem(
                    f'{path}.checkpoint',
                    f'there is no file {name}{near_file(name)}',
                    f'pass --cfg-options {option_key(path)}.checkpoint=PATH; or '
                    + f'train from scratch with --cfg-options {option_key(path)}=None',
                )
            )
    backbone = cfg.model.get('backbone')
    started = cfg.get('load_from') or cfg.get('resume')
    ours = (
        isinstance(backbone, dict) and type_name(backbone.get('type')) in OUR_BACKBONES
    )
    if isinstance(backbone, dict) and (ours or 'init_cfg' in backbone) and not started:
        frozen = backbone.get('frozen_stages', -1)
        is_frozen = isinstance(frozen, int) and frozen > -1
        if not backbone.get('init_cfg') and (is_frozen or backbone.get('norm_eval')):
            problems.append(
                Problem(
                    'model.backbone',
                    f'starts from random, with frozen_stages={frozen} and '
                    f'norm_eval={backbone.get("norm_eval", False)}: what is frozen '
                    'stays random',
                    'add --cfg-options model.backbone.frozen_stages=-1 '
                    'model.backbone.norm_eval=False',
                    fatal=False,
                )
            )
    return problems


def build_datasets(cfg: Config, loader: str) -> list[tuple[str, BaseDataset]]:
    """Build the data sets of a loader without reading their data.

    Args:
        cfg: The config.
        loader: ``'train_dataloader'`` and so on.

    Returns:
        The data sets, out of all wrappers, with their place in the config. Kinds that
        are not of mmengine's BaseDataset are left out.

    Raises:
        UserError: If one cannot be built.
    """
    if not isinstance(cfg.get(loader), dict):
        return []
    scope = cfg.get('default_scope') or toolbox_of(cfg).scope
    built = []
    with DefaultScope.overwrite_default_scope(scope):
        for path, node in _leaves(cfg[loader].get('dataset'), f'{loader}.dataset'):
            try:
                kind = node.get('type')
                cls = DATASETS.get(kind) if isinstance(kind, str) else kind
                if cls is None or (
                    isinstance(cls, type) and issubclass(cls, BaseDataset)
                ):
                    # An unknown type is left to fail here, in mmengine's own words.
                    dataset = DATASETS.build(
                        {**node, 'lazy_init': True, 'pipeline': []}
                    )
                    built.append((path, dataset))
            except Exception as error:
                raise UserError(f'{path}: {error}') from error
    return built


def reads_masks(cfg: Config, loader: str) -> bool:
    """Tell whether a loader's pipeline reads the objects' masks."""
    return any(
        isinstance(node, dict) and node.get('with_mask') is True
        for _, node in walk(cfg.get(loader))
    )


def _leaves(node: Any, path: str) -> list[tuple[str, dict]]:
    """The data sets inside wrappers such as RepeatDataset and ConcatDataset."""
    if not isinstance(node, dict):
        return []
    if isinstance(node.get('dataset'), dict):
        return _leaves(node['dataset'], f'{path}.dataset')
    if isinstance(node.get('datasets'), list | tuple):
        return [
            leaf
            for i, part in enumerate(node['datasets'])
            for leaf in _leaves(part, f'{path}.datasets[{i}]')
        ]
    return [(path, node)]


def check_num_classes(cfg: Config, dataset: BaseDataset) -> list[Problem]:
    """Check that the heads predict as many classes as the data have."""
    classes = dataset.metainfo.get('classes') or class_folders(dataset)
    if classes is None or type_name(cfg.model.get('type')) == 'RPN':
        return []
    problems = []
    for path, node in walk(cfg.model, 'model'):
        parent = path.split('.')[-1].split('[')[0]
        if parent not in HEADS or not isinstance(node, dict):
            continue
        count = node.get('num_classes')
        if count is not None and count != len(classes):
            problems.append(
                Problem(
                    f'{path}.num_classes',
                    f'is {count}, the data set has {len(classes)} classes '
                    f'({examples(list(classes))})',
                    f'--cfg-options {option_key(path)}.num_classes={len(classes)}',
                )
            )
    return problems


def check_evaluator(
    cfg: Config, loader: str, annotations: dict[str, Any]
) -> list[Problem]:
    """Check that COCO's evaluator reads the pictures that the loader gives it.

    Otherwise it fails after the first epoch.
    """
    evaluators = cfg.get(f'{loader}_evaluator') or []
    if isinstance(evaluators, dict):
        evaluators = [evaluators]
    problems = []
    for i, evaluator in enumerate(evaluators):
        ann_file = evaluator.get('ann_file')
        if not isinstance(ann_file, str) or '://' in ann_file:
            continue
        where = f'{loader}_evaluator' + (f'[{i}]' if len(evaluators) > 1 else '')
        if not os.path.isfile(ann_file):
            problems.append(missing_file(ann_file, f'{where}.ann_file'))
            continue
        datasets = [
            dataset.ann_file
            for _, dataset in build_datasets(cfg, f'{loader}_dataloader')
            if dataset.ann_file in annotations
        ]
        same = any(os.path.samefile(ann_file, other) for other in datasets)
        if same or not datasets:
            continue
        found = load_coco(ann_file, f'{where}.ann_file', annotations)
        problems += found
        if found:
            continue
        problems += check_coco(annotations[ann_file], ann_file, test=True)
        known = _picture_ids(annotations[ann_file])
        given = [i for other in datasets for i in _picture_ids(annotations[other])]
        foreign = [str(image_id) for image_id in given if image_id not in known]
        if foreign:
            problems.append(
                Problem(
                    f'{where}.ann_file',
                    f'{ann_file} lacks pictures of {loader}_dataloader: '
                    f'id {examples(foreign)}',
                    f'evaluate on the file that is loaded, {datasets[0]}',
                )
            )
    return problems


def _picture_ids(content: dict[str, list]) -> dict[Any, None]:
    """The ids of a COCO file's pictures in their order; faulty ones are told elsewhere."""
    found = (image.get('id') for image in content['images'] if isinstance(image, dict))
    return dict.fromkeys(image_id for image_id in found if is_id(image_id))
