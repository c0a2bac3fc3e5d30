"""What tools/train.py and tools/test.py do, for the three toolboxes alike.

A config is loaded, the flags are merged into it, the preflight check looks at what it
needs, and mmengine's runner does the rest. The flags mean what they mean in the
toolboxes' own tools.
"""

import importlib.util
import os
import os.path as osp
import sys
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

from ..errors import UserError
from ..ops.extension import launched_rank
from .checkpoints import check_file, last_whole
from ..checks.preflight import preflight, raise_if_fatal
from .explaining import explain, explain_fault, near_config, walk
from .hooks import InterruptHook, PreflightHook
from .options import check_kinds, merge
from ..checks.toolbox import toolbox_of, type_name


def load_config(
    path: str, cfg_options: dict[str, Any] | None = None, work_dir: str | None = None
) -> Config:
    """Load a config and decide its work_dir.

    Args:
        path: The config file.
        cfg_options: What to override in it, by dotted keys.
        work_dir: Where logs and checkpoints go. Without it what the config says, or
            ``work_dirs/NAME_OF_THE_CONFIG``.

    Returns:
        The config, of one of the three toolboxes.

    Raises:
        UserError: If it cannot be read, or is of none of the toolboxes.
    """
    if not osp.isfile(path):
        raise UserError(f'config {path}: there is no such file{near_config(path)}')
    try:
        cfg = Config.fromfile(path)
    except SyntaxError as error:
        raise UserError(
            f'config {error.filename or path}, line {error.lineno}: {error.msg}: '
            f'{(error.text or "").strip()}'
        ) from None
    except Exception as error:
        raise UserError(
            f'config {path} cannot be read: {error}{_other_family(error, path)}'
        ) from error
    toolbox_of(cfg)
    if 'model' not in cfg:
        raise UserError(f'config {path} has no model: is it one of the _base_ files?')
    if cfg_options:
        merge(cfg, cfg_options)
    check_kinds(cfg)
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(path))[0])
    return cfg


def _other_family(error: BaseException, path: str) -> str:
    """Say where a base such as ``mmseg::`` lies that mmengine does not find by its name.

    mmengine looks for the packages of the official releases; to install one beside its
    fork, as it asks for, would spoil both. ``mmghost::`` it does not know.
    """
    if 'mmghost::' in Path(path).read_text(encoding='utf-8', errors='replace'):
        from ..datasets.own.writing import configs_folder

        return (
            '\nmmengine does not know mmghost by name: in place of mmghost::NAME.py '
            f'write {configs_folder()}/NAME.py'
        )
    for package, official in (('mmseg', 'mmsegmentation'), ('mmdet', 'mmdet')):
        spec = importlib.util.find_spec(package)
        if f'{official} is not installed' in str(error) and spec is not None:
            configs = osp.join(osp.dirname(spec.origin), '.mim', 'configs')
            return (
                f'\n{package} is here under another name: do not install {official} '
                f'beside it. In place of {package}::NAME.py write {configs}/NAME.py'
            )
    return ''


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
    """Merge the flags of a training into its config, in place.

    Args:
        cfg: The config, see :func:`load_config`.
        resume: ``'auto'`` for the last whole checkpoint in work_dir, or a path.
        amp: Train in mixed precision.
        auto_scale_lr: Scale lr by the batch size over the config's base batch size.
        no_validate: Do not evaluate during training.
        no_pin_memory: For mmpretrain: do not page-lock the loaders' memory.
        no_persistent_workers: For mmpretrain: stop the loaders' workers every epoch.
        launcher: How the processes were started: none, pytorch, slurm or mpi.

    Returns:
        The same config.

    Raises:
        UserError: If a flag cannot be honoured.
    """
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        if cfg.get(key) is None:
            raise UserError(f'{cfg.filename} has no {key}: it cannot train')
    set_distributed(cfg, launcher)
    if no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    set_precision(cfg, amp)
    if auto_scale_lr:
        base = cfg.get('auto_scale_lr') or {}
        if 'base_batch_size' not in base:
            raise UserError(
                f'--auto-scale-lr: {cfg.filename} does not say which batch size its lr '
                'is for; add auto_scale_lr = dict(base_batch_size=N)'
            )
        cfg.auto_scale_lr.enable = True
    set_resume(cfg, resume)
    if toolbox_of(cfg).scope == 'mmpretrain':
        set_loader_defaults(cfg, not no_pin_memory, not no_persistent_workers)
    return cfg


def set_distributed(cfg: Config, launcher: str) -> None:
    """Set the launcher; on machines without a GPU, talk by gloo and wrap for the CPU.

    Raises:
        UserError: If the launcher starts no processes on the CPU.
    """
    cfg.launcher = launcher
    if launcher == 'none' or get_device() != 'cpu':
        return
    if launcher != 'pytorch':
        raise UserError(
            f'--launcher {launcher} needs GPUs, and torch sees none; processes on the '
            'CPU are started by tools/dist_train.sh and tools/dist_test.sh'
        )
    cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', {}).update(backend='gloo')
    if cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
    cfg.model_wrapper_cfg.setdefault('device_ids', None)  # mmengine would name a GPU
    set_sync_bn(cfg)


def set_sync_bn(cfg: Config) -> None:
    """Have SyncBN without GPUs where a config asks for it, layer by layer or for all.

    A single process needs none: mmengine itself puts BN there.
    """
    layers = [
        node
        for _, node in walk(cfg.model, 'model')
        if isinstance(node, dict) and type_name(node.get('type')) == 'SyncBN'
    ]
    for layer in layers:
        layer['type'] = 'CPUSyncBN'
    if cfg.get('sync_bn'):
        cfg.sync_bn = None
        cfg.model_wrapper_cfg.type = 'CPUSyncDataParallel'
    elif not layers:
        return
    print_log("no GPU: mmghost's SyncBN instead of torch's, which needs one", 'current')


def connect(cfg: Config) -> None:
    """Connect the processes where mmengine, which takes a GPU for granted, cannot."""
    backend = (cfg.get('env_cfg') or {}).get('dist_cfg', {}).get('backend')
    if cfg.launcher == 'none' or get_device() != 'cpu' or dist.is_initialized():
        return
    dist.init_process_group(backend)
    print_log('no GPU: the processes talk by gloo instead of nccl', 'current')


def disconnect() -> None:
    """Take leave of the other processes, at the end of work that went well.

    Without it Python ends while a thread of gloo may still hold a tensor: it then asks
    for an interpreter that is gone, and the process aborts after all is done
    (pytorch/pytorch#179291). After a failure it is not to be called: it waits for
    processes that may never come.
    """
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def set_precision(cfg: Config, amp: bool) -> None:
    """Switch mixed precision on where it is asked for, off where it cannot be had."""
    wrapper = type_name(cfg.optim_wrapper.get('type', 'OptimWrapper'))
    if get_device() == 'cpu':
        if amp:
            raise UserError(
                '--amp needs a GPU, and torch sees none: leave it out to train in '
                '32 bit, or see why torch.cuda.is_available() is False'
            )
        if wrapper == 'AmpOptimWrapper':
            print_log(
                'no GPU: the config asks for mixed precision, training in 32 bit '
                'instead',
                'current',
                level=30,
            )
            cfg.optim_wrapper.type = 'OptimWrapper'
            for key in ('loss_scale', 'dtype', 'use_fsdp'):
                cfg.optim_wrapper.pop(key, None)
        return
    if not amp:
        return
    if wrapper in ('AmpOptimWrapper', 'AutoAmpOptimWrapper'):
        print_log('--amp: the config trains in mixed precision anyway', 'current')
        return
    if wrapper != 'OptimWrapper':
        raise UserError(
            f'--amp takes the place of OptimWrapper; the config has {wrapper}'
        )
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_resume(cfg: Config, resume: str | None) -> None:
    """Find the checkpoint to resume from, and check that it can be read."""
    if resume is None and cfg.get('resume') and not cfg.get('load_from'):
        resume = 'auto'  # the config itself says so
    if resume is None:
        if cfg.get('load_from'):
            check_file(cfg.load_from, 'load_from')
        return
    if resume == 'auto':
        found = last_whole(cfg.work_dir)
        if found is None:
            print_log(
                f'--resume: no checkpoint in {cfg.work_dir}; starting from the beginning',
                'current',
                level=30,
            )
            cfg.resume, cfg.load_from = False, None
            return
        resume = str(found)
    check_file(resume)
    cfg.resume, cfg.load_from = True, resume


def set_loader_defaults(
    cfg: Config, pin_memory: bool, persistent_workers: bool | None
) -> None:
    """Give mmpretrain's loaders the defaults that its own tools give them.

    Args:
        cfg: The config.
        pin_memory: False switches page-locked memory off.
        persistent_workers: False keeps no workers; None leaves that to the config.
    """
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(key)
        if loader is None:
            continue
        loader.setdefault('pin_memory', get_device() != 'cpu')
        loader.setdefault('collate_fn', dict(type='default_collate'))
        if not pin_memory:
            loader.pin_memory = False
        if persistent_workers is None:
            continue
        loader.setdefault('persistent_workers', True)
        if not persistent_workers or not loader.get('num_workers'):
            loader.persistent_workers = False


def run_train(cfg: Config) -> torch.nn.Module:
    """Train.

    Args:
        cfg: What :func:`prepare_train` returned.

    Returns:
        The trained model.

    Raises:
        UserError: If the config, the data or a checkpoint must be mended first.
    """
    loaders = ['train'] + (['val'] if cfg.get('val_dataloader') is not None else [])
    hook = None
    with in_plain_words(cfg, lambda: hook is not None and hook.started):
        connect(cfg)
        notes = check_data(cfg, loaders)
        runner = build_runner(cfg)
        hook = guard(runner, notes, keep_earlier=True)
        try:
            return runner.train()
        except Exception as error:
            # Told to end: what failed is the talk with a process that has left.
            for listening in runner.hooks:
                if isinstance(listening, InterruptHook):
                    listening.leave_after(error, runner)
            raise


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
    """Merge the flags of an evaluation into its config, in place.

    Args:
        cfg: The config, see :func:`load_config`.
        checkpoint: The weights.
        out: Where predictions go: a pickle file (detection, classification) or a folder
            of label maps in the form of the benchmark's server (segmentation).
        out_item: For classification: ``'pred'`` or ``'metrics'``.
        show: Show each picture in a window.
        show_dir: Where pictures of the predictions go.
        wait_time: For how long a window stays, in s.
        interval: Every how many pictures one is shown or kept.
        tta: Test with augmentation.
        amp: Evaluate in mixed precision.
        no_pin_memory: For mmpretrain: do not page-lock the loader's memory.
        launcher: How the processes were started: none, pytorch, slurm or mpi.

    Returns:
        The same config.

    Raises:
        UserError: If a flag cannot be honoured.
    """
    for key in ('test_dataloader', 'test_cfg', 'test_evaluator'):
        if cfg.get(key) is None:
            raise UserError(f'{cfg.filename} has no {key}: it cannot be evaluated')
    scope = toolbox_of(cfg).scope
    check_out(scope, out, out_item)
    set_distributed(cfg, launcher)
    check_file(checkpoint)
    cfg.load_from, cfg.resume = checkpoint, False
    if amp:
        if get_device() == 'cpu':
            raise UserError('--amp needs a GPU, and torch sees none: leave it out')
        cfg.test_cfg.fp16 = True
    if show or show_dir:
        set_visualization(cfg, scope, show, show_dir, wait_time, interval)
    if tta:
        set_tta(cfg, scope)
    if scope == 'mmpretrain':
        set_loader_defaults(cfg, not no_pin_memory, None)
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
    suffix = Path(out).suffix
    if scope == 'mmseg':
        if Path(out).is_file():
            raise UserError(f'--out {out}: label maps go into a folder; that is a file')
        return
    allowed = ['.pkl', '.pickle']
    if out_item == 'metrics':
        allowed += ['.json', '.yaml', '.yml']
    if suffix not in allowed:
        raise UserError(f'--out {out}: the file must end in {" or ".join(allowed)}')


def set_visualization(
    cfg: Config,
    scope: str,
    show: bool,
    show_dir: str | None,
    wait_time: float,
    interval: int,
) -> None:
    """Switch on the toolbox's hook that draws predictions."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserError(
            '--show and --show-dir need the hook default_hooks.visualization, which '
            f'{cfg.filename} does not have'
        )
    if show and not has_display():
        raise UserError('--show needs a display; use --show-dir FOLDER')
    hook.update(show=show, wait_time=wait_time, interval=interval)
    if scope == 'mmpretrain':
        hook.update(enable=True, out_dir=show_dir)
        return
    hook.draw = True
    if show_dir and scope == 'mmdet':
        hook.test_out_dir = show_dir
    elif show_dir:
        cfg.visualizer.save_dir = show_dir


def has_display() -> bool:
    """Whether a window can be opened; only Linux's servers are known to have none."""
    displays = ('DISPLAY', 'WAYLAND_DISPLAY')
    return sys.platform != 'linux' or any(os.environ.get(name) for name in displays)


def innermost(dataset: ConfigDict) -> ConfigDict:
    """The data set inside wrappers such as RepeatDataset."""
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def prepares_tests(cfg: Config) -> ConfigDict:
    """The test data set, whose pipeline says how a picture is prepared.

    Raises:
        UserError: If it has none, or holds several data sets, as ConcatDataset does.
    """
    if cfg.get('test_dataloader') is None:
        raise UserError(
            f'{cfg.filename} has no test_dataloader: its pipeline says how a picture is '
            'prepared'
        )
    dataset = innermost(cfg.test_dataloader.dataset)
    if 'pipeline' not in dataset:
        parts = dataset.get('datasets') or []
        held = f' of {len(parts)} data sets, each with a pipeline of its own' * bool(
            parts
        )
        raise UserError(
            f'test_dataloader.dataset is a {type_name(dataset.get("type"))}{held}: put '
            'one data set with a pipeline there, which says how a picture is prepared'
        )
    return dataset


def set_tta(cfg: Config, scope: str) -> None:
    """Wrap the model for test-time augmentation, by flips where the config has none."""
    dataset = prepares_tests(cfg)
    if 'tta_pipeline' not in cfg:
        if scope == 'mmseg':
            raise UserError(f'--tta: {cfg.filename} has no tta_pipeline')
        last = deepcopy(dataset.pipeline[-1])
        if scope == 'mmdet':
            keys = last.get(
                'meta_keys',
                ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
            )
            last.meta_keys = (*keys, 'flip', 'flip_direction')
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)]
        cfg.tta_pipeline = [
            *deepcopy(dataset.pipeline[:-1]),
            dict(type='TestTimeAug', transforms=[flips, [last]]),
        ]
        print_log(
            '--tta: the config has no tta_pipeline; testing with flips', 'current'
        )
    if 'tta_model' not in cfg:
        cfg.tta_model = {
            'mmdet': dict(
                type='DetTTAModel',
                tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
            ),
            'mmseg': dict(type='SegTTAModel'),
            'mmpretrain': dict(type='AverageClsScoreTTA'),
        }[scope]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def run_test(
    cfg: Config, out: str | None = None, out_item: str | None = None
) -> dict[str, float]:
    """Evaluate.

    Args:
        cfg: What :func:`prepare_test` returned.
        out: As there.
        out_item: As there.

    Returns:
        The metrics.

    Raises:
        UserError: If the config, the data or the checkpoint must be mended first.
    """
    scope = toolbox_of(cfg).scope
    with in_plain_words(cfg):
        connect(cfg)
        notes = check_data(cfg, ['test'])
        runner = build_runner(cfg)
        guard(runner, notes)
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


def build_runner(cfg: Config) -> Runner:
    """Build the runner that a config asks for."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def check_data(cfg: Config, loaders: list[str]) -> list[str]:
    """Run the preflight check in the first process.

    Args:
        cfg: The config.
        loaders: Which data are needed.

    Returns:
        Lines for the log, which the runner is yet to open.

    Raises:
        UserError: If something must be mended first.
    """
    if cfg.launcher != 'none' and launched_rank() != 0:
        return []
    hook = (cfg.get('default_hooks') or {}).get('preflight') or {}
    seconds, data = hook.get('picture_seconds', 30.0), hook.get('data', True)
    notes: list[str] = []
    problems = preflight(cfg, loaders, seconds, notes.append, data=data)
    raise_if_fatal(problems, notes.append)
    return notes


def guard(
    runner: Runner, notes: list[str], keep_earlier: bool = False
) -> PreflightHook:
    """Have a runner's checkpoints checked, also where its config has no such hook.

    Args:
        runner: The runner.
        notes: What :func:`check_data` returned, for the log.
        keep_earlier: See :class:`PreflightHook`.

    Returns:
        The hook.
    """
    for line in notes:
        runner.logger.info(line)
    hooks = [hook for hook in runner.hooks if isinstance(hook, PreflightHook)]
    if not hooks:
        hooks = [PreflightHook()]
        runner.register_hook(hooks[0])
    hooks[0].checked = True
    hooks[0].keep_earlier = keep_earlier
    return hooks[0]


@contextmanager
def in_plain_words(cfg: Config, started=lambda: False) -> Iterator[None]:
    """Turn errors of building into :class:`UserError`.

    Args:
        cfg: The config that is built from.
        started: Whether the work itself has begun: from then on errors pass as they are,
            but for what the machine did.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if os.environ.get('MMGHOST_TRACEBACK') == '1':
            raise
        under_way = started()
        words = explain_fault(error, cfg.work_dir) if under_way else explain(error, cfg)
        if words is None:
            raise
        raise UserError(
            f'{words}\n(MMGHOST_TRACEBACK=1 shows where in the code)'
        ) from error
