"""The module that takes the place of ``mmcv._ext``."""

import importlib
import importlib.abc
import importlib.metadata
import importlib.util
import logging
import os
import types
from collections.abc import Callable

from mmengine.dist import get_rank, is_distributed
from mmengine.logging import MMLogger

NAME = 'mmcv._ext'

# Operators by the module of mmghost.ops that holds them.
_HOMES = {
    'nms': ['nms', 'softnms', 'nms_match'],
    'roi_align': ['roi_align_forward', 'roi_align_backward'],
    'roi_pool': ['roi_pool_forward', 'roi_pool_backward'],
    'focal_loss': [
        'sigmoid_focal_loss_forward',
        'sigmoid_focal_loss_backward',
        'softmax_focal_loss_forward',
        'softmax_focal_loss_backward',
    ],
    'deform_conv': [
        'deform_conv_forward',
        'deform_conv_backward_input',
        'deform_conv_backward_parameters',
        'modulated_deform_conv_forward',
        'modulated_deform_conv_backward',
    ],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

PROVIDED = tuple(_HOME_OF)
"""Names of the operators that have a stand-in."""


class StandInExtension(types.ModuleType):
    """``mmcv._ext`` made of Python: stand-ins, and an error for each other operator.

    mmcv asks for every operator that it knows while ``mmcv.ops`` is imported, so every
    public name exists; what has no stand-in raises when it is called.
    """

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('_'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')
        _announce()
        if name in _HOME_OF:
            home = importlib.import_module(f'mmghost.ops.{_HOME_OF[name]}')
            operator = getattr(home, name)
        else:
            operator = _unprovided(name)
        setattr(self, name, operator)
        return operator

    def get_compiler_version(self) -> str:
        """Tell environment reports what they look at."""
        return 'none (stand-ins of mmghost)'

    get_compiling_cuda_version = get_compiler_version


class _Loader(importlib.abc.Loader):
    """Gives the stand-in a module specification as complete as any module's."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> StandInExtension:
        return StandInExtension(spec.name, StandInExtension.__doc__)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def make_extension() -> StandInExtension:
    """Make a new stand-in module, not yet put anywhere."""
    spec = importlib.util.spec_from_loader(NAME, _Loader(), origin='mmghost.ops')
    return importlib.util.module_from_spec(spec)


def remedy() -> str:
    """Say in one sentence how to get compiled operators."""
    import mmcv

    name = 'onedl-mmcv' if _is_installed('onedl-mmcv') else 'mmcv'
    return (
        'To get them, compile mmcv beside the torch in use: `MMCV_WITH_OPS=1 pip '
        'install --no-build-isolation --no-cache-dir --no-deps --force-reinstall '
        f'--no-binary {name} {name}=={mmcv.__version__}` (docs/operators.md of mmghost '
        'has the details, and one more step for newer torch).'
    )


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _unprovided(name: str) -> Callable:
    def operator(*args: object, **kwargs: object) -> None:
        raise NotImplementedError(
            f"mmcv's operator {name!r} is not available: mmcv is installed without "
            f'compiled operators, and mmghost has no stand-in for this one. {remedy()}'
        )

    operator.__name__ = operator.__qualname__ = name
    return operator


_announced = False


def _announce() -> None:
    """Log once, on the main process, that stand-ins are at work."""
    global _announced
    if _announced:
        return
    _announced = True
    if launched_rank() != 0:
        return
    # Into the log of the run where there is one; without one to standard error, where
    # it cannot spoil what a tool prints.
    running = getattr(MMLogger, '_instance_dict', None)
    logger = (
        MMLogger.get_current_instance() if running else logging.getLogger('mmghost')
    )
    logger.warning(
        'mmcv has no compiled operators here: stand-ins of mmghost are used (%d '
        'operators; MMGHOST_MMCV_OPS=native forbids them).',
        len(PROVIDED),
    )


def launched_rank() -> int:
    """The number of this process among those of a training."""
    if is_distributed():
        return get_rank()
    # Before the process group exists, launchers tell by environment variables.
    for variable in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        if os.environ.get(variable, '').isdigit():
            return int(os.environ[variable])
    return 0
