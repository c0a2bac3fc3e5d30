"""The module that takes the place of ``mmcv._ext``, and when it does."""

import importlib.abc
import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from mmengine.dist import get_rank, is_distributed
from mmengine.logging import MMLogger

NAME = 'mmcv._ext'
VARIABLE = 'MMGHOST_MMCV_OPS'
MODES = ('auto', 'native', 'fallback')

PROVIDED = (
    'nms',
    'softnms',
    'roi_align_forward',
    'roi_align_backward',
    'sigmoid_focal_loss_forward',
    'sigmoid_focal_loss_backward',
)
"""Names of the operators that have a stand-in."""

REMEDY = (
    'For compiled operators install the `mmcv` that was built for your torch, or '
    'compile it: docs/installation.md of mmghost, "Compiled operators".'
)


class StandIns(ModuleType):
    """``mmcv._ext`` in Python: stand-ins, and an error for every other operator.

    ``mmcv.ops`` looks up every operator when it is imported, so each public name
    exists. An operator without a stand-in raises when it is called.
    """

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('_'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')
        _announce()
        if name in PROVIDED:
            operator = getattr(importlib.import_module('mmghost.ops.operators'), name)
        else:
            operator = _missing(name)
        setattr(self, name, operator)
        return operator

    def get_compiler_version(self) -> str:
        """Return what environment reports show in place of a compiler."""
        return 'none (stand-ins of mmghost)'

    get_compiling_cuda_version = get_compiler_version


def make_extension() -> StandIns:
    """Return a new module of stand-ins that is not installed yet."""
    extension = StandIns(NAME, StandIns.__doc__)
    # mmengine looks at the loader to see whether mmcv has operators.
    extension.__spec__ = ModuleSpec(NAME, importlib.abc.Loader(), origin='mmghost.ops')
    return extension


def install() -> str:
    """Make ``mmcv.ops`` work, with mmcv's compiled operators or with the stand-ins.

    The environment variable ``MMGHOST_MMCV_OPS`` decides: ``auto`` (the default)
    installs the stand-ins where mmcv has no compiled operators, ``fallback`` always,
    ``native`` never. Calling it again is harmless.

    Returns:
        What is in use, ``'native'`` or ``'fallback'``.

    Raises:
        ValueError: The variable has another value.
        ImportError: mmcv is missing; ``native`` is set, and mmcv's compiled operators
            are missing or do not load; or ``fallback`` is set after they were loaded.
    """
    mode = os.environ.get(VARIABLE) or 'auto'
    if mode not in MODES:
        raise ValueError(f'{VARIABLE} must be one of {", ".join(MODES)}, not {mode!r}')
    found = in_use()
    if mode == 'native':
        try:
            if found == 'fallback':
                raise ImportError('the stand-ins are already installed')
            importlib.import_module(NAME)
        except ImportError as error:
            raise ImportError(
                f'{VARIABLE}=native, but mmcv has no compiled operators that load with '
                f'this torch: {error}. {REMEDY}'
            ) from error
    elif found == 'missing' or (found == 'native' and mode == 'fallback'):
        if NAME in sys.modules:
            raise ImportError(f'{VARIABLE}=fallback: import mmghost before mmcv.ops')
        sys.modules[NAME] = importlib.import_module('mmcv')._ext = make_extension()
    return in_use()


def in_use() -> str:
    """Return what ``mmcv.ops`` runs on, without importing it.

    Returns:
        ``'native'``, ``'fallback'`` (the stand-ins) or ``'missing'``.

    Raises:
        ImportError: mmcv is missing.
    """
    loaded = sys.modules.get(NAME)
    if isinstance(loaded, StandIns):
        return 'fallback'
    try:
        mmcv = importlib.import_module('mmcv')
    except ModuleNotFoundError as error:
        if error.name != 'mmcv':
            raise
        raise ImportError(
            'mmghost needs mmcv: install `onedl-mmcv`, or `mmcv-lite` beside '
            "OpenMMLab's own releases."
        ) from error
    compiled = loaded is not None or PathFinder.find_spec(NAME, mmcv.__path__)
    return 'native' if compiled else 'missing'


def _missing(name: str) -> Callable:
    def operator(*args: object, **kwargs: object) -> None:
        raise NotImplementedError(
            f'operator {name!r} of mmcv: mmcv is installed without compiled operators, '
            f'and mmghost has no stand-in for this one. {REMEDY}'
        )

    operator.__name__ = operator.__qualname__ = name
    return operator


_announced = False


def _announce() -> None:
    """Log once, on the main process, that the stand-ins are in use."""
    global _announced
    # Before the process group exists, launchers give the rank in the environment.
    launched = os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or 0
    rank = get_rank() if is_distributed() else int(launched)
    if not _announced and rank == 0:
        # To the log of the run if there is one, else to standard error: a tool's
        # standard output is its result.
        run = getattr(MMLogger, '_instance_dict', None)
        logger = (
            MMLogger.get_current_instance() if run else logging.getLogger('mmghost')
        )
        logger.warning(
            'mmcv has no compiled operators: stand-ins of mmghost are used for nms, '
            f'soft_nms, RoIAlign and sigmoid_focal_loss ({VARIABLE}=native forbids it)'
        )
    _announced = True
