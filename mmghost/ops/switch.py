"""Chooses between mmcv's compiled operators and the stand-ins."""

import importlib
import os
import sys
from importlib.machinery import PathFinder
from types import ModuleType

from .extension import NAME, StandInExtension, make_extension, remedy

VARIABLE = 'MMGHOST_MMCV_OPS'
MODES = ('auto', 'native', 'fallback')


def install() -> str:
    """Make ``mmcv.ops`` work: with mmcv's compiled operators or with the stand-ins.

    The environment variable ``MMGHOST_MMCV_OPS`` tells which: ``auto`` (the default)
    puts the stand-ins in where mmcv has no compiled operators, ``fallback`` always,
    ``native`` never. Calling it again is harmless.

    Returns:
        What is in use, ``'native'`` or ``'fallback'``.

    Raises:
        ValueError: The variable has another value.
        ImportError: mmcv is missing; or ``native`` is asked for, and mmcv's compiled
            operators are missing or do not load.
    """
    mode = os.environ.get(VARIABLE) or 'auto'
    if mode not in MODES:
        raise ValueError(
            f'environment variable {VARIABLE} must be one of {", ".join(MODES)}, not '
            f'{mode!r}'
        )
    found = in_use()
    if mode == 'native':
        _require_native(found)
    elif found == 'missing' or (found == 'native' and mode == 'fallback'):
        _put(make_extension())
    return in_use()


def in_use() -> str:
    """Tell what ``mmcv.ops`` runs on, without importing it.

    Returns:
        ``'native'``, ``'fallback'`` (the stand-ins) or ``'missing'``.

    Raises:
        ImportError: mmcv is missing.
    """
    loaded = sys.modules.get(NAME)
    if isinstance(loaded, StandInExtension):
        return 'fallback'
    if loaded is not None or PathFinder.find_spec(NAME, _mmcv().__path__):
        return 'native'
    return 'missing'


def _mmcv() -> ModuleType:
    try:
        return importlib.import_module('mmcv')
    except ModuleNotFoundError as error:
        if error.name != 'mmcv':
            raise
        raise ImportError(
            'mmghost needs mmcv; install `onedl-mmcv`, or `mmcv-lite` on '
            "OpenMMLab's official stack."
        ) from error


def _require_native(found: str) -> None:
    asked = f'{VARIABLE}=native asks for compiled operators of mmcv, but'
    if found == 'missing':
        raise ImportError(f'{asked} mmcv is installed without them. {remedy()}')
    if found == 'fallback':
        raise ImportError(
            f'{asked} the stand-ins are already in their place: set the variable '
            'before mmghost is imported.'
        )
    try:
        importlib.import_module(NAME)
    except ImportError as error:
        raise ImportError(
            f'{asked} they do not load with this torch: {error}. {remedy()}'
        ) from error


def _put(extension: StandInExtension) -> None:
    """Put the stand-in where ``import mmcv._ext`` and loaded parts of mmcv look."""
    sys.modules[NAME] = extension
    _mmcv()._ext = extension
    for name, module in list(sys.modules.items()):
        # Parts of mmcv.ops that were imported before hold on to compiled operators.
        if name.startswith('mmcv.ops.') and hasattr(module, 'ext_module'):
            module.ext_module = extension
