"""What tools/train.py and tools/test.py do, for the three toolboxes alike.

``load_config`` reads a file and ``--cfg-options``, ``prepare_train`` and ``prepare_test``
merge the other flags, which mean what they mean in the toolboxes' own tools, and
``run_train`` and ``run_test`` check what the config needs and leave the rest to mmengine.
"""

import errno
import gc
import inspect
import os
import sys
import time
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
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..checks.toolbox import scope_of, type_name
from ..errors import UserError, did_you_mean, near_file
from ..recipes.optimizers import WITHOUT_AMP
from .checkpoints import for_mmengine, is_deployed, last_whole, read_checkpoint
from .fonts import use_font_for
from .hooks.interrupt_hook import InterruptHook
from .hooks.preflight_hook import PreflightHook

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Keys that mmengine reads besides the arguments of its runner.
_MORE_KEYS = (
    'activation_checkpointing', 'compile', 'efficient_conv_bn_eval',
    'find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'strategy', 'sync_bn',
)  # fmt: skip
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
    if not Path(path).is_file():
        raise UserError(f'config {path}: there is no such file{near_file(path)}')
    cfg = Config.fromfile(path)
    scope = scope_of(cfg)
    if 'model' not in cfg:
        raise UserError(f'config {path} has no model: is it one of the _base_ files?')
    _merge(cfg, cfg_options or {})
    for loader in _loaders(cfg):
        if scope == 'mmpretrain':  # as its own tools do
            loader.setdefault('pin_memory', get_device() != 'cpu')
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('persistent_workers', True)
        if not loader.get('num_workers'):
            loader.persistent_workers = False  # torch refuses these without workers
            loader.pop('prefetch_factor', None)
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = f'work_dirs/{Path(path).stem}'
    return cfg


def _merge(cfg: Config, options: dict[str, Any]) -> None:
    """Merge settings into a config; refuse keys that mmengine would ignore."""
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


def _loaders(cfg: Config) -> list[ConfigDict]:
    return [cfg[key] for key in LOADERS if cfg.get(key)]


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
    _require(cfg, 'it cannot train', 'train_dataloader', 'train_cfg', 'optim_wrapper')
    _set_launcher(cfg, launcher)
    if no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    _set_precision(cfg, amp)
    if auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            words = 'add auto_scale_lr = dict(base_batch_size=N), which its lr is for'
            raise UserError(f'--auto-scale-lr: {cfg.filename}: {words}')
        cfg.auto_scale_lr.enable = True
    _set_checkpoint(cfg, resume)
    for loader in _loaders(cfg):
        if no_pin_memory:
            loader.pin_memory = False
        if no_persistent_workers:
            loader.persistent_workers = False
    return cfg


def _require(cfg: Config, otherwise: str, *keys: str) -> None:
    for key in keys:
        if cfg.get(key) is None:
            raise UserError(f'{cfg.filename} has no {key}: {otherwise}')


def _set_launcher(cfg: Config, launcher: str) -> None:
    """Set the launcher; without a GPU, use gloo and a wrapper that needs none."""
    cfg.launcher = launcher
    if launcher == 'none' or get_device() != 'cpu':
        return
    if 'RANK' not in os.environ:
        raise UserError(
            f'--launcher {launcher} needs GPUs; without, use torchrun, as '
            'tools/dist_train.sh does, with --launcher pytorch'
        )
    cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', {}).update(backend='gloo')
    if cfg.get('model_wrapper_cfg') is None:
        unused = cfg.get('find_unused_parameters', False)
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', find_unused_parameters=unused
        )
    cfg.model_wrapper_cfg.setdefault('broadcast_buffers', False)
    cfg.model_wrapper_cfg.setdefault('device_ids', None)  # mmengine would name a GPU


def _require_gpu(amp: bool) -> None:
    if amp and get_device() in WITHOUT_AMP:
        raise UserError('--amp needs a GPU, and there is none: leave it out')


def _set_precision(cfg: Config, amp: bool) -> None:
    """Switch mixed precision on where asked for, and off where there is no GPU."""
    _require_gpu(amp)
    wrapper = type_name(cfg.optim_wrapper.get('type', 'OptimWrapper'))
    if wrapper == 'AmpOptimWrapper' and get_device() in WITHOUT_AMP:
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


def _set_checkpoint(cfg: Config, resume: str | None) -> None:
    """Find and read the checkpoint to resume or to start from."""
    if resume is None and cfg.get('resume') and not cfg.get('load_from'):
        resume = 'auto'  # the config itself says so
    if resume == 'auto' and (resume := last_whole(cfg.work_dir)) is None:
        cfg.resume = False
        text = f'--resume: no checkpoint in {cfg.work_dir}; starting anew'
        print_log(text, 'current', level=30)
    if resume is not None:
        cfg.resume, cfg.load_from = True, str(resume)
    if cfg.get('load_from'):
        read_checkpoint(cfg.load_from)  # fails now, not when the model is built


def run_train(cfg: Config) -> torch.nn.Module:
    """Train with what :func:`prepare_train` returned; return the model.

    Raises:
        UserError: If the config, the data or a checkpoint must be fixed first.
    """
    loaders = ['train'] + ['val'] * (cfg.get('val_dataloader') is not None)
    with explained(cfg):
        runner = _checked_runner(cfg, loaders)
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
    keys = ('test_dataloader', 'test_cfg', 'test_evaluator')
    _require(cfg, 'it cannot be evaluated', *keys)
    _set_launcher(cfg, launcher)
    _set_out(cfg, out, out_item)
    cfg.load_from, cfg.resume = checkpoint, False
    if is_deployed(read_checkpoint(checkpoint)):
        cfg.model.backbone.deploy = True
    _require_gpu(amp)
    cfg.test_cfg.update(dict(fp16=True) if amp else {})
    if show or show_dir:
        _set_visualization(cfg, show, show_dir, wait_time=wait_time, interval=interval)
    if tta:
        _set_tta(cfg)
    if no_pin_memory:
        cfg.test_dataloader.pin_memory = False
    return cfg


def _set_out(cfg: Config, out: str | None, out_item: str | None) -> None:
    """Add what keeps the predictions. Metrics are left to the caller of run_test."""
    scope, evaluators = scope_of(cfg), cfg.test_evaluator
    evaluators = [evaluators] if isinstance(evaluators, dict) else [*evaluators]
    if out_item is not None and (out is None or scope != 'mmpretrain'):
        raise UserError('--out-item goes with --out FILE, for classification')
    if out is None:
        return
    if scope == 'mmseg':
        if Path(out).is_file():
            raise UserError(f'--out {out}: is a file; label maps go into a folder')
        for evaluator in evaluators:
            evaluator['output_dir'] = out
        return
    allowed = ['.pkl', '.pickle'] + ['.json', '.yaml', '.yml'] * (out_item == 'metrics')
    if Path(out).suffix not in allowed:
        raise UserError(f'--out {out}: the file must end in {" or ".join(allowed)}')
    if out_item != 'metrics':
        kind = 'DumpDetResults' if scope == 'mmdet' else 'DumpResults'
        cfg.test_evaluator = [*evaluators, dict(type=kind, out_file_path=out)]


def _set_visualization(
    cfg: Config, show: bool, show_dir: str | None, **settings: float
) -> None:
    """Switch on the toolbox's hook that draws predictions."""
    scope = scope_of(cfg)
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


def get_test_dataset(cfg: Config) -> ConfigDict:
    """Return the test dataset, whose pipeline says how an image is prepared.

    Raises:
        UserError: If there is none, or several of them as in ConcatDataset.
    """
    _require(cfg, 'its pipeline says how an image is prepared', 'test_dataloader')
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:  # wrappers such as RepeatDataset
        dataset = dataset.dataset
    if 'pipeline' not in dataset:
        raise UserError(
            f'test_dataloader.dataset is a {dataset.type}: put one part there'
        )
    return dataset


def _set_tta(cfg: Config) -> None:
    """Wrap the model for test-time augmentation, by flips where the config has none."""
    scope, dataset = scope_of(cfg), get_test_dataset(cfg)
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


def run_test(cfg: Config) -> dict[str, float]:
    """Evaluate with what :func:`prepare_test` returned; return the metrics.

    Raises:
        UserError: If the config, the data or the checkpoint must be fixed first.
    """
    with explained(cfg):
        runner = _checked_runner(cfg, ['test'])
        hook = (cfg.get('default_hooks') or {}).get('visualization') or {}
        if hook.get('draw') or hook.get('enable'):
            names = runner.test_dataloader.dataset.metainfo.get('classes') or ()
            use_font_for(names)
            if scope_of(cfg) == 'mmseg' and not ''.join(names).isascii():
                text = 'mmseg draws names by OpenCV, in ASCII alone: use image_demo.py'
                print_log(text, 'current', level=30)
        return runner.test()


def leave_group() -> None:
    """Leave the processes of a distributed run, if it is one, and join gloo's threads.

    One of them may still hold a tensor of the last broadcast, and aborts the process if
    Python ends before the thread does. What joins them is the end of the group's last
    reference, and DDP keeps one in the runner, whose references are circular.
    """
    if dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()


def _checked_runner(cfg: Config, loaders: list[str]) -> Runner:
    """Build the runner and run the preflight check, before any data are loaded.

    ``default_hooks.preflight=None`` switches the check off.

    Raises:
        UserError: If something must be fixed first.
    """
    if cfg.launcher != 'none' and get_device() == 'cpu' and not dist.is_initialized():
        dist.init_process_group('gloo')  # mmengine would ask for a GPU
    hooks = dict(cfg.get('default_hooks') or {})
    hooks.setdefault('preflight', dict(type='mmghost.PreflightHook'))
    kept = {n: hook for n, hook in hooks.items() if hook is not None or n in _OWN_HOOKS}
    cfg.default_hooks = kept  # mmengine has an assertion for other Nones
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if cfg.get('load_from'):  # not in the config, which mmengine writes down
        runner._load_from = for_mmengine(cfg.load_from)
    for hook in runner.hooks:
        if isinstance(hook, PreflightHook):
            hook.check(runner, loaders)
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
        try:
            yield
        except (ConnectionError, EOFError):
            # What a worker that dies while it sends a batch leaves first. torch names the
            # worker when the signal of its end comes, and that interrupts the wait.
            time.sleep(1)
            raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = error.filename or cfg.work_dir
            raise UserError(
                f'{place}: {os.strerror(error.errno)}. The file being written is cut '
                f'short, the earlier ones are whole: make room, then {resume}. '
                'default_hooks.checkpoint.max_keep_ckpts=N keeps fewer'
            ) from error
        if isinstance(error, urllib.error.URLError):
            raise UserError(
                f'the network cannot be reached, or refuses: {error.reason}. Download the '
                'file elsewhere and name it: model.backbone.init_cfg.checkpoint=FILE'
            ) from error
        raise
    except RuntimeError as error:
        words = str(error).split('\n')[0].strip()
        if not words.startswith('DataLoader worker'):
            raise
        raise UserError(
            f'{words} Most often the memory ran out: set a smaller '
            f'train_dataloader.num_workers or batch_size; {resume}'
        ) from error
