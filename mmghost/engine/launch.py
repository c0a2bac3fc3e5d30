"""What tools/train.py and tools/test.py do, for the three toolboxes alike.

A config is loaded, the flags are merged into it, the preflight check looks at what it
needs, and mmengine's runner does the rest. The flags mean what they mean in the
toolboxes' own tools.
"""

import difflib
import errno
import glob
import inspect
import os
import os.path as osp
import sys
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.fileio import dump
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..checks import preflight, raise_if_fatal
from ..checks.toolbox import option_key, toolbox_of, type_name, walk
from ..errors import UserError, did_you_mean
from .checkpoints import (
    check_file,
    for_mmengine,
    is_deployed,
    last_whole,
    read_checkpoint,
)
from .hooks import InterruptHook, PreflightHook

# Keys that mmengine reads besides the arguments of its runner.
_MORE_KEYS = (
    'activation_checkpointing', 'compile', 'efficient_conv_bn_eval',
    'find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'strategy', 'sync_bn',
)  # fmt: skip
_RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# mmengine itself leaves these out where a config says None, and fails for any other.
_OWN_HOOKS = (
    'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'
)  # fmt: skip


def load_config(
    path: str, cfg_options: dict[str, Any] | None = None, work_dir: str | None = None
) -> Config:
    """Load a config of one of the three toolboxes and decide its work_dir.

    Args:
        path: The config file.
        cfg_options: Settings to override, by dotted keys.
        work_dir: Folder for logs and checkpoints. Default: that of the config, or
            ``work_dirs/NAME_OF_THE_CONFIG``.

    Raises:
        UserError: If there is no such file, no such toolbox, or a setting does not fit.
    """
    if not osp.isfile(path):
        raise UserError(f'config {path}: there is no such file{_similar(path)}')
    cfg = Config.fromfile(path)
    toolbox_of(cfg)
    if 'model' not in cfg:
        raise UserError(f'config {path} has no model: is it one of the _base_ files?')
    merge(cfg, cfg_options or {})
    for key in LOADERS:
        loader = cfg.get(key)
        if loader and not loader.get('num_workers'):
            loader.persistent_workers = False  # torch refuses these without workers
            loader.pop('prefetch_factor', None)
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', Path(path).stem)
    return cfg


def _similar(path: str) -> str:
    """Return a hint with configs of a similar name, in the same folder or in configs/."""
    folder = Path(path).parent if Path(path).parent.is_dir() else Path('configs')
    pattern = '**/*.py' if 'configs' in folder.parts else '*.py'
    files = {p.stem: str(p) for p in folder.glob(pattern) if '_base_' not in p.parts}
    close = difflib.get_close_matches(Path(path).stem, files, cutoff=0.7)
    return f'; did you mean {" or ".join(files[c] for c in close)}?' if close else ''


def merge(cfg: Config, options: dict[str, Any]) -> None:
    """Merge settings into a config, in place.

    Raises:
        UserError: If a key leads nowhere, or is a misspelled one of the runner, which
            mmengine would ignore.
    """
    known = {*cfg, *inspect.signature(Runner).parameters, *_MORE_KEYS}
    for key in options:
        top = key.split('.')[0]
        if top not in known and (hint := did_you_mean(top, known)):
            raise UserError(f'--cfg-options {key}: there is no {top}{hint}')
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, AssertionError, AttributeError) as error:
        words = f'--cfg-options do not fit {cfg.filename}: {error}'
        raise UserError(words) from error


def prepare_train(
    cfg: Config,
    resume: str | None = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
    no_validate: bool = False,
    no_pin_memory: bool = False,
    no_persistent_workers: bool = False,
    launcher: str = 'none',
) -> Config:
    """Merge the flags of tools/train.py, by their names, into a config, in place.

    ``resume`` is ``'auto'`` for the last whole checkpoint in work_dir, or a path.

    Raises:
        UserError: If the config cannot train, or not as the flags say.
    """
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        if cfg.get(key) is None:
            raise UserError(f'{cfg.filename} has no {key}: it cannot train')
    set_distributed(cfg, launcher)
    if no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    set_precision(cfg, amp)
    if auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            words = 'add auto_scale_lr = dict(base_batch_size=N), which its lr is for'
            raise UserError(f'--auto-scale-lr: {cfg.filename}: {words}')
        cfg.auto_scale_lr.enable = True
    set_resume(cfg, resume)
    set_loader_defaults(cfg, no_pin_memory, no_persistent_workers)
    return cfg


def set_distributed(cfg: Config, launcher: str) -> None:
    """Set the launcher; without a GPU, use gloo and a wrapper that needs none."""
    cfg.launcher = launcher
    if launcher == 'none' or get_device() != 'cpu':
        return
    cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', {}).update(backend='gloo')
    if cfg.get('model_wrapper_cfg') is None:
        unused = cfg.get('find_unused_parameters', False)
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', find_unused_parameters=unused
        )
    cfg.model_wrapper_cfg.setdefault('broadcast_buffers', False)
    cfg.model_wrapper_cfg.setdefault('device_ids', None)  # mmengine would name a GPU
    if cfg.get('sync_bn'):
        cfg.sync_bn = None
        text = 'no GPU: SyncBN needs one; each process has its own batch statistics'
        print_log(text, 'current', level=30)


def connect(cfg: Config) -> None:
    """Connect the processes on a machine without a GPU, which mmengine cannot."""
    if cfg.launcher == 'none' or get_device() != 'cpu' or dist.is_initialized():
        return
    dist.init_process_group('gloo')
    print_log('no GPU: the processes use gloo instead of nccl', 'current')


def disconnect() -> None:
    """Leave the other processes, at the end of work that went well.

    Otherwise Python may exit while a thread of gloo still holds a tensor, and abort
    (pytorch/pytorch#179291). Not for use after a failure: it waits for the others.
    """
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def set_precision(cfg: Config, amp: bool) -> None:
    """Switch mixed precision on where asked for, and off where there is no GPU."""
    wrapper = type_name(cfg.optim_wrapper.get('type', 'OptimWrapper'))
    if get_device() == 'cpu':
        if amp:
            raise UserError('--amp needs a GPU, and torch finds none: leave it out')
        if wrapper == 'AmpOptimWrapper':
            text = 'no GPU: training in 32 bit instead of mixed precision'
            print_log(text, 'current', level=30)
            cfg.optim_wrapper.type = 'OptimWrapper'
            for key in ('loss_scale', 'dtype', 'use_fsdp'):
                cfg.optim_wrapper.pop(key, None)
    elif amp and wrapper == 'OptimWrapper':
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    elif amp and wrapper not in ('AmpOptimWrapper', 'AutoAmpOptimWrapper'):
        raise UserError(f'--amp replaces OptimWrapper; the config has {wrapper}')


def set_resume(cfg: Config, resume: str | None) -> None:
    """Find the checkpoint to resume or to start from, and check that it is whole."""
    if resume is None and cfg.get('resume') and not cfg.get('load_from'):
        resume = 'auto'  # the config itself says so
    if resume is None:
        if cfg.get('load_from'):
            check_file(cfg.load_from, 'load_from')
            content = read_checkpoint(cfg.load_from)
            cfg.load_from = for_mmengine(cfg.load_from, content)
        return
    if resume == 'auto':
        found = last_whole(cfg.work_dir)
        if found is None:
            text = f'--resume: no checkpoint in {cfg.work_dir}; starting anew'
            print_log(text, 'current', level=30)
            cfg.resume, cfg.load_from = False, None
            return
        resume = str(found)
    read_checkpoint(resume)
    cfg.resume, cfg.load_from = True, resume


def set_loader_defaults(
    cfg: Config, no_pin_memory: bool = False, no_persistent_workers: bool = False
) -> None:
    """Give mmpretrain's loaders the defaults of its own tools."""
    if toolbox_of(cfg).scope != 'mmpretrain':
        return
    for key in LOADERS:
        if cfg.get(key) is None:
            continue
        loader = cfg[key]
        loader.setdefault('pin_memory', get_device() != 'cpu')
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('persistent_workers', True)
        if no_pin_memory:
            loader.pin_memory = False
        if no_persistent_workers:
            loader.persistent_workers = False


def run_train(cfg: Config) -> torch.nn.Module:
    """Train with what :func:`prepare_train` returned; return the model.

    Raises:
        UserError: If the config, the data or a checkpoint must be fixed first.
    """
    loaders = ['train'] + ['val'] * (cfg.get('val_dataloader') is not None)
    with explained(cfg):
        runner = checked_runner(cfg, loaders)
        hooks = [hook for hook in runner.hooks if isinstance(hook, InterruptHook)]
        for hook in hooks:
            hook.listen()  # before mmengine forks the workers, which inherit it
        try:
            return runner.train()
        except Exception as error:
            if any(hook.received is not None for hook in hooks):
                # The error comes from another process that was told to end, too.
                raise KeyboardInterrupt from error
            raise
        finally:
            for hook in hooks:
                hook.release()


def prepare_test(
    cfg: Config,
    checkpoint: str,
    out: str | None = None,
    out_item: str | None = None,
    show: bool = False,
    show_dir: str | None = None,
    wait_time: float = 2.0,
    interval: int = 1,
    tta: bool = False,
    amp: bool = False,
    no_pin_memory: bool = False,
    launcher: str = 'none',
) -> Config:
    """Merge the flags of tools/test.py, by their names, into a config, in place.

    ``checkpoint`` is a file or a URL of any origin that mmghost reads.

    Raises:
        UserError: If the config cannot be evaluated, or not as the flags say.
    """
    for key in ('test_dataloader', 'test_cfg', 'test_evaluator'):
        if cfg.get(key) is None:
            raise UserError(f'{cfg.filename} has no {key}: it cannot be evaluated')
    scope = toolbox_of(cfg).scope
    check_out(scope, out, out_item)
    set_distributed(cfg, launcher)
    content = read_checkpoint(checkpoint)
    cfg.load_from, cfg.resume = for_mmengine(checkpoint, content), False
    if is_deployed(content):
        cfg.model.backbone.deploy = True
    if amp:
        if get_device() == 'cpu':
            raise UserError('--amp needs a GPU, and torch finds none: leave it out')
        cfg.test_cfg.fp16 = True
    if show or show_dir:
        set_visualization(cfg, show, show_dir, wait_time=wait_time, interval=interval)
    if tta:
        set_tta(cfg, scope)
    set_loader_defaults(cfg, no_pin_memory)
    if out and scope == 'mmseg':
        evaluators = cfg.test_evaluator
        for evaluator in [evaluators] if isinstance(evaluators, dict) else evaluators:
            evaluator['output_dir'] = out
    return cfg


def check_out(scope: str, out: str | None, out_item: str | None) -> None:
    """Check the flags --out and --out-item before anything takes time."""
    if out_item is not None and (out is None or scope != 'mmpretrain'):
        raise UserError('--out-item goes with --out FILE, for classification')
    if out is None:
        return
    if scope == 'mmseg':
        if Path(out).is_file():
            raise UserError(f'--out {out}: is a file; label maps go into a folder')
        return
    allowed = ['.pkl', '.pickle']
    if out_item == 'metrics':
        allowed += ['.json', '.yaml', '.yml']
    if Path(out).suffix not in allowed:
        raise UserError(f'--out {out}: the file must end in {" or ".join(allowed)}')


def set_visualization(
    cfg: Config, show: bool, show_dir: str | None, **settings: float
) -> None:
    """Switch on the toolbox's hook that draws predictions."""
    scope = toolbox_of(cfg).scope
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if hook is None:
        raise UserError('--show and --show-dir need default_hooks.visualization')
    displays = ('DISPLAY', 'WAYLAND_DISPLAY')
    if show and sys.platform == 'linux' and not any(map(os.environ.get, displays)):
        raise UserError('--show needs a display; use --show-dir FOLDER')
    hook.update(show=show, **settings)
    if scope == 'mmpretrain':
        hook.update(enable=True, out_dir=show_dir)
        return
    hook.draw = True
    if show_dir and scope == 'mmdet':
        hook.test_out_dir = show_dir
    elif show_dir:
        cfg.visualizer.save_dir = show_dir


def shown_in(cfg: Config, show_dir: str) -> str | None:
    """Return the folder into which ``--show-dir`` has just drawn, or None."""
    # mmpretrain takes it as it is, mmdet puts it below WORK_DIR/TIME, and mmseg puts
    # the folder of its visualizer into it.
    pattern = {
        'mmpretrain': glob.escape(show_dir),
        'mmdet': osp.join(glob.escape(cfg.work_dir), '*', glob.escape(show_dir)),
        'mmseg': osp.join(glob.escape(show_dir), 'vis_data', 'vis_image'),
    }[toolbox_of(cfg).scope]
    return max(glob.glob(pattern), key=osp.getmtime, default=None)


def get_test_dataset(cfg: Config) -> ConfigDict:
    """Return the test dataset, whose pipeline says how an image is prepared.

    Raises:
        UserError: If there is none, or several of them as in ConcatDataset.
    """
    if cfg.get('test_dataloader') is None:
        words = 'its pipeline says how an image is prepared'
        raise UserError(f'{cfg.filename} has no test_dataloader: {words}')
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:  # wrappers such as RepeatDataset
        dataset = dataset.dataset
    if 'pipeline' not in dataset:
        kind = type_name(dataset.get('type'))
        words = (
            'put one dataset with a pipeline there, which says how to prepare an image'
        )
        raise UserError(f'test_dataloader.dataset is a {kind}: {words}')
    return dataset


def set_tta(cfg: Config, scope: str) -> None:
    """Wrap the model for test-time augmentation, by flips where the config has none."""
    dataset = get_test_dataset(cfg)
    if 'tta_pipeline' not in cfg:
        if scope == 'mmseg':
            raise UserError(f'--tta: {cfg.filename} has no tta_pipeline')
        *steps, last = deepcopy(dataset.pipeline)
        if scope == 'mmdet':
            keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
            keys = last.get('meta_keys', keys)
            last.meta_keys = (*keys, 'flip', 'flip_direction')
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)]
        views = dict(type='TestTimeAug', transforms=[flips, [last]])
        cfg.tta_pipeline = [*steps, views]
        print_log('--tta: no tta_pipeline in the config; testing with flips', 'current')
    if 'tta_model' not in cfg:
        nms = dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
        cfg.tta_model = {
            'mmdet': dict(type='DetTTAModel', tta_cfg=nms),
            'mmseg': dict(type='SegTTAModel'),
            'mmpretrain': dict(type='AverageClsScoreTTA'),
        }[scope]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def run_test(
    cfg: Config, out: str | None = None, out_item: str | None = None
) -> dict[str, float]:
    """Evaluate with what :func:`prepare_test` returned; return the metrics.

    Raises:
        UserError: If the config, the data or the checkpoint must be fixed first.
    """
    scope = toolbox_of(cfg).scope
    with explained(cfg):
        runner = checked_runner(cfg, ['test'])
        if out and scope != 'mmseg' and out_item != 'metrics':
            if scope == 'mmdet':
                from mmdet.evaluation import DumpDetResults as Dump
            else:
                Dump = DumpResults
            runner.test_evaluator.metrics.append(Dump(out_file_path=out))
        metrics = runner.test()
    if out and out_item == 'metrics' and is_main_process():
        dump(metrics, out)
    return metrics


def checked_runner(cfg: Config, loaders: list[str]) -> Runner:
    """Run the preflight check in the first process, then build the runner.

    The check comes first because building takes time, and fails at missing files in
    other words. ``default_hooks.preflight=None`` switches it off.

    Raises:
        UserError: If something must be fixed first.
    """
    connect(cfg)
    hooks = cfg.get('default_hooks') or {}
    wanted = hooks.get('preflight', dict(type='mmghost.PreflightHook'))
    notes: list[str] = []
    ranks = [os.environ.get(name) for name in _RANKS]
    first = cfg.launcher == 'none' or all(rank in (None, '0') for rank in ranks)
    if wanted is not None and first:
        seconds, data = wanted.get('picture_seconds', 30.0), wanted.get('data', True)
        problems = preflight(cfg, loaders, seconds, notes.append, data=data)
        raise_if_fatal(problems, notes.append)
    for name in [n for n in hooks if hooks[n] is None and n not in _OWN_HOOKS]:
        del hooks[name]  # mmengine has an assertion here
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    for line in notes:
        runner.logger.info(line)
    if wanted is not None and 'preflight' not in hooks:
        runner.register_hook(PreflightHook())  # a config without mmghost's runtime
    for hook in runner.hooks:
        if isinstance(hook, PreflightHook):
            hook.checked = hook.keep_earlier = True
    return runner


@contextmanager
def explained(cfg: Config) -> Iterator[None]:
    """Reword three errors whose own words do not say what to do.

    Raises:
        UserError: For a full disk, a killed worker or a missing network; any other error
            passes as it is.
    """
    resume = '--resume goes on from the last whole checkpoint'
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = error.filename or cfg.work_dir
            raise UserError(
                f'{place}: {os.strerror(error.errno)}. The file being written is cut '
                f'short, the earlier ones are whole: make room, then {resume}. '
                'default_hooks.checkpoint.max_keep_ckpts=N keeps fewer'
            ) from error
        if isinstance(error, urllib.error.URLError):
            lines = [f'the network cannot be reached, or refuses: {error.reason}']
            for path, node in walk(cfg.model, 'model'):
                source = node.get('checkpoint') if isinstance(node, dict) else None
                if isinstance(source, str) and '://' in source:
                    lines.append(
                        f'{path} asks for {source}: download it on another machine and '
                        f'pass --cfg-options {option_key(path)}.checkpoint=FILE'
                    )
            raise UserError('\n'.join(lines)) from error
        raise
    except RuntimeError as error:
        words = str(error).split('\n')[0].strip()
        if not words.startswith('DataLoader worker'):
            raise
        raise UserError(
            f'{words} Most often the memory ran out: set a smaller '
            f'train_dataloader.num_workers or batch_size; {resume}'
        ) from error
