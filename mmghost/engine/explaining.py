"""The toolboxes' own errors in plain words, with the place in the config they come from."""

import difflib
import errno
import inspect
import os
import re
import time
import traceback
import urllib.error
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import Registry

from ..errors import UserError, near
from .options import option_key

# A full disk, a quota, a limit on the size of files.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# What gloo and NCCL say where a process that they wait for is gone.
_PROCESS_LOST = (
    'gloo.*(connection (closed|reset)|timed out|broken pipe)|'
    'nccl.*(remote process (exited|has)|timed? ?out|connection (closed|reset))'
)

_PROCESS_GONE = (
    'another process of this training has ended, or no longer answers: its own output '
    'says why'
)

# Methods of mmengine's runner that read one part of a config -> that part.
_READERS = {
    'setup_env': 'env_cfg',
    'set_randomness': 'randomness',
    'build_logger': 'log_level',
    'build_visualizer': 'visualizer',
    'build_log_processor': 'log_processor',
    'build_model': 'model',
    'wrap_model': 'model_wrapper_cfg',
    'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg',
    'build_test_loop': 'test_cfg',
    'build_optim_wrapper': 'optim_wrapper',
    'build_param_scheduler': 'param_scheduler',
    '_check_scheduler_cfg': 'param_scheduler',
    'build_evaluator': 'val_evaluator or test_evaluator',
    'register_default_hooks': 'default_hooks',
    'register_custom_hooks': 'custom_hooks',
    'scale_lr': 'auto_scale_lr',
    '_init_model_weights': 'init_cfg of the model',
    '__init__': 'the config',  # hands all parts on
    'train': 'the config',
}
# Where a slip of the pen names a place such as `/config`, `/` and all data lie below it.
_MOST_FOLDERS = 500
_WIDTHS = ('width', 'width_mult', 'width_multiplier', 'multiplier', 'alpha')
_BEFORE = (
    'before_run',
    'before_train',
    'before_test',
)  # when hooks read their settings


def near_config(path: str) -> str:
    """Name configs of nearly the name of one that is not there."""
    folders = [Path(path).parent, *Path(path).parent.parents]
    start = next((folder for folder in folders if folder.is_dir()), folders[-1])
    by_name: dict[str, str] = {}
    for place, below, names in islice(os.walk(start), _MOST_FOLDERS):
        # Hidden folders hold environments, with other projects' configs.
        below[:] = sorted(name for name in below if not name.startswith('.'))
        if '_base_' in Path(place).parts:
            continue  # bases cannot run
        for name in names:
            if name.endswith('.py'):  # which would make all names alike
                by_name.setdefault(name[:-3], os.path.join(place, name))
    found = difflib.get_close_matches(Path(path).stem, by_name, 3, cutoff=0.7)
    return (
        f'; did you mean {" or ".join(by_name[name] for name in found)}?'
        if found
        else ''
    )


def explain(error: BaseException, cfg: Config | None = None) -> str | None:
    """Put an error that arose while something was built from a config in plain words.

    Args:
        error: The error.
        cfg: The config, to say where in it the cause stands.

    Returns:
        The words, or None for an error that is not of the person's making as far as can
        be told: its traceback should be seen.
    """
    if isinstance(error, UserError):
        return str(error)
    if _is_process_lost(error):
        return _PROCESS_GONE
    if isinstance(error, urllib.error.URLError | ConnectionError | TimeoutError):
        return _explain_network(error, cfg)
    frame, part = _what_was_read(error, cfg)
    if frame is not None:
        return _explain_build(error, frame, cfg)
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return str(error)
    if part is None:
        return None
    text = f'{part}: {type(error).__name__}: {_message(error)}'
    if part == 'param_scheduler' and 'end should be larger than begin' in text:
        text += (
            '. A schedule begins after the training has ended: shorten the one before '
            '(param_scheduler.0.end=N), or train longer'
        )
    return text


def explain_fault(error: BaseException, work_dir: str) -> str | None:
    """Put in plain words what the machine did to a training that was under way.

    Args:
        error: The error.
        work_dir: Where the training keeps its checkpoints.

    Returns:
        The words, or None for an error of another kind.
    """
    resume = '--resume goes on from the last whole checkpoint'
    text = str(error)
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        place = error.filename or work_dir
        return (
            f'{place}: {os.strerror(error.errno)}. The file being written is cut short, '
            f'the earlier ones are whole: make room, then {resume}. '
            'default_hooks.checkpoint.max_keep_ckpts=N keeps fewer'
        )
    lost = _worker_lost(error)
    if lost is not None:
        return (
            f'{lost} Mostly for want of memory: set a smaller '
            f'train_dataloader.num_workers or batch_size; {resume}'
        )
    if _is_process_lost(error):
        return f'{_PROCESS_GONE}, and none means killed, mostly for want of memory; {resume}'
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return (
            f'{text.splitlines()[0]} Set a smaller train_dataloader.batch_size, --amp or '
            f'model.backbone.with_cp=True; {resume}'
        )
    return None


def _worker_lost(error: BaseException) -> str | None:
    """What torch says where a process that loads data has ended, or None.

    One that is killed while it hands over a batch cuts the connection first; what torch
    says of it comes with the signal of its end, a moment later and wherever the code is.
    """
    text = str(error)
    if 'DataLoader worker' in text and ('killed' in text or 'exited' in text):
        return text.splitlines()[0].strip()
    cut = isinstance(error, ConnectionError | EOFError | FileNotFoundError)
    handing_over = (torch.utils.data.dataloader.__name__, 'multiprocessing.queues')
    names = {frame.f_globals.get('__name__') for frame in _frames(error)}
    if not cut or not names.issuperset(handing_over):
        return None
    try:
        time.sleep(1)
    except RuntimeError as told:
        return _worker_lost(told)
    return 'A DataLoader worker has ended while it handed over a batch.'


def _is_process_lost(error: BaseException) -> bool:
    return bool(re.search(_PROCESS_LOST, str(error), re.IGNORECASE | re.DOTALL))


def _frames(error: BaseException) -> Iterator[FrameType]:
    for frame, _ in traceback.walk_tb(error.__traceback__):
        yield frame


def _what_was_read(
    error: BaseException, cfg: Config | None
) -> tuple[FrameType | None, str | None]:
    """Tell what was being built, or else which part of the config was being read.

    Returns:
        The innermost mmengine frame that was building something from a dict, or the part
        that mmengine's runner was reading within that.
    """
    building, part = None, None
    for frame in _frames(error):
        if frame.f_code.co_name == 'build_from_cfg' and 'cfg' in frame.f_locals:
            building, part = frame, None
        elif frame.f_globals.get('__name__') == 'mmengine.runner.runner':
            found = _part_read_in(frame, cfg)
            if found is not None:
                building, part = None, found
    return building, part


def _part_read_in(frame: FrameType, cfg: Config | None) -> str | None:
    """Name the part of the config that a method of mmengine's runner reads."""
    name = frame.f_code.co_name
    if name == 'build_dataloader':
        wanted = frame.f_locals.get('dataloader')
        loaders = [f'{kind}_dataloader' for kind in ('train', 'val', 'test')]
        found = [key for key in loaders if cfg is not None and cfg.get(key) == wanted]
        return found[0] if found else 'a dataloader'
    if name == 'call_hook' and frame.f_locals.get('fn_name') in _BEFORE:
        return type(frame.f_locals.get('hook')).__name__
    return _READERS.get(name)


def _explain_build(error: BaseException, frame: FrameType, cfg: Config | None) -> str:
    wanted = frame.f_locals['cfg']
    built = frame.f_locals.get('obj_cls')
    where = _find(cfg, wanted)
    unknown = re.match(r"'?(\S+) is not in the (\S+) registry", str(error))
    if unknown and built is None:
        known = _registered(frame.f_locals['registry'])
        return f'{where}unknown type {unknown[1]!r}{near(unknown[1], known)}'
    if built is None:  # no type at all
        return f'{where}{_message(error)}'
    name = getattr(built, '__name__', str(built))
    text = _message(error)
    surplus = re.search(r"got an unexpected keyword argument '(\w+)'", text)
    if surplus:
        known = _parameters(built)
        hint = near(surplus[1], known) or f'; it has {", ".join(known)}'
        if surplus[1] in _WIDTHS and 'widen_factor' in known:
            hint = '; did you mean widen_factor?'
        elif where.endswith('backbone: '):
            hint += (
                ". Over a config with another backbone, _delete_=True keeps that one's "
                'arguments out'
            )
        return f'{where}{name} has no argument {surplus[1]!r}{hint}'
    missing = re.search(r'missing \d+ required .*argument.*?: (.+)$', text)
    if missing:
        return f'{where}{name} needs the argument {missing[1]}'
    return f'{where}{name} cannot be built: {text}'


def _message(error: BaseException) -> str:
    """The error's own words; for a bare assertion its line of code."""
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    else:
        text = str(error)
    if text.strip():
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f'{type(error).__name__} at `{last.line}` ({last.filename}:{last.lineno})'


def _registered(registry: Registry | None) -> set[str]:
    """All names that are found from a registry without a scope before them."""
    names: set[str] = set()
    while registry is not None:
        names |= set(registry.module_dict)
        registry = registry.parent
    return names


def _parameters(cls: Any) -> list[str]:
    """Arguments that a class takes, those that it hands to its bases included."""
    if not inspect.isclass(cls):
        return list(inspect.signature(cls).parameters)
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if '__init__' not in vars(base) or base is object:
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names.update(
            {
                p.name: None
                for p in parameters
                if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            }
        )
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    names.pop('self', None)
    return list(names)


def _find(cfg: Config | None, wanted: Any) -> str:
    """Where in the config a dict stands, as ``'model.backbone: '``."""
    if cfg is None or not isinstance(wanted, dict):
        return ''

    def same(node: dict) -> bool:
        if node.get('type') != wanted.get('type'):
            return False
        # What is built may have got further arguments on its way.
        return all(key in wanted and wanted[key] == node[key] for key in node)

    for path, node in walk(cfg._cfg_dict):
        try:
            if isinstance(node, dict) and node is not cfg._cfg_dict and same(node):
                return f'{path}: '
        except (ValueError, RuntimeError):  # arrays and tensors compare elementwise
            continue
    return ''


def walk(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Visit a config's dicts and lists with their dotted paths, outer ones first."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, f'{path}.{key}' if path else str(key))
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from walk(value, f'{path}[{i}]')


def _explain_network(error: BaseException, cfg: Config | None) -> str:
    reason = getattr(error, 'reason', None) or error
    lines = [f'the network cannot be reached, or refuses: {reason}']
    for path, node in walk(cfg._cfg_dict if cfg is not None else {}):
        checkpoint = node.get('checkpoint') if isinstance(node, dict) else None
        if isinstance(checkpoint, str) and '://' in checkpoint:
            lines.append(offline_advice(path, checkpoint))
    return '\n'.join(lines)


def offline_advice(path: str, url: str) -> str:
    """Say how to go on without a network.

    Args:
        path: Where in the config the weights are asked for (``model.backbone.init_cfg``).
        url: From where.
    """
    return (
        f'{path} asks for {url}. Without a network: fetch that file on another machine '
        f'and pass --cfg-options {option_key(path)}.checkpoint=PATH_OF_THE_FILE; or '
        + from_scratch(path)
    )


def from_scratch(path: str) -> str:
    """Say how to train without the weights that ``path`` asks for."""
    whole = re.sub(r'(\[\d+\])+$', '', path)  # of several initialisations all go
    return (
        f'train from scratch with --cfg-options {option_key(whole)}=None '
        'model.backbone.frozen_stages=-1 model.backbone.norm_eval=False'
    )
