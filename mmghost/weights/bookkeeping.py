"""What the checkpoints of trainings hold beside weights, rebuilt from plain data alone.

A training resumes with its history of the loss. Pickle would rebuild that with NumPy's
and mmengine's own functions, and with ``getattr``, from which a crafted file reaches
anything. The functions here take their place and build nothing else.
"""

import math
import pickle
import re
import sys
from collections import Counter
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


class StandIn:
    """Takes the place of an object that is not needed, and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> 'StandIn':
        """Make one, whatever the arguments."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Drop the state."""


class History:
    """In place of the class of histories, whose own method would set any state."""

    def __new__(cls) -> HistoryBuffer:
        """Make an empty history, which gets its state later."""
        return HistoryBuffer()


ARRAY = StandIn()  # for the class of arrays, which says what is to be rebuilt
_STATISTICS = ('min', 'max', 'mean', 'current')


def statistic(owner: Any, name: Any) -> Any:
    """In place of ``getattr``, by which pickle names the history's own statistics."""
    if owner is History and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'getattr of {name!r} is not allowed')


def encode(text: Any, encoding: Any = 'utf-8') -> bytes:
    """In place of ``_codecs.encode``, by which protocol 2 writes bytes."""
    if isinstance(text, str) and encoding == 'latin1':
        return text.encode('latin1')
    raise pickle.UnpicklingError(f'the encoding {encoding!r} is not allowed')


def no_bytes() -> bytes:
    """In place of ``bytes``, by which protocol 2 writes those that are empty."""
    return b''


def dtype(code: Any, *flags: Any) -> np.dtype:
    """In place of ``numpy.dtype``: numbers and strings, by their code."""
    if isinstance(code, str) and re.fullmatch(r'[?bBhHiIlLqQefd]|[biufcSU]\d+', code):
        return np.dtype(code)
    raise pickle.UnpicklingError(f'numpy.dtype({code!r}) is not allowed')


def array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """In place of NumPy's ``_reconstruct``: an empty array, which gets its state later."""
    if kind is ARRAY:
        return np.empty(0, np.int8)
    raise pickle.UnpicklingError('arrays of other classes are not allowed')


def scalar(kind: Any, content: Any) -> Any:
    """In place of NumPy's ``scalar``: one number."""
    known = isinstance(kind, np.dtype) and isinstance(content, bytes)
    if known and len(content) == kind.itemsize > 0:
        return np.frombuffer(content, kind)[0]
    raise pickle.UnpicklingError('a number of NumPy is malformed')


def set_dtype(kind: np.dtype, state: Any) -> None:
    """Check the state of a dtype; one by code has all of it already."""
    native = '<' if sys.byteorder == 'little' else '>'
    if isinstance(state, tuple) and len(state) >= 8 and state[1] in (native, '=', '|'):
        plain = state[2:5] == (None, None, None)
        if plain and state[5] in (-1, kind.itemsize):
            return
    raise pickle.UnpicklingError(f'the state of a {kind} is not allowed: {state}')


def set_array(values: np.ndarray, state: Any) -> None:
    """Set the state of an array: version, shape, dtype, order and bytes."""
    if isinstance(state, tuple) and len(state) == 5:
        _, shape, kind, fortran, content = state
        if (
            isinstance(kind, np.dtype)
            and isinstance(content, bytes)
            and isinstance(shape, tuple)
            and all(type(side) is int and side >= 0 for side in shape)
            and math.prod(shape) * kind.itemsize == len(content)
        ):
            values.__setstate__((1, shape, kind, bool(fortran), content))
            return
    raise pickle.UnpicklingError('the state of an array is malformed')


def set_history(history: HistoryBuffer, state: Any) -> None:
    """Set the state of a history, its numbers alone: the statistics are mmengine's."""
    kinds = dict(max_length=int, _log_history=np.ndarray, _count_history=np.ndarray)
    if isinstance(state, dict) and all(
        type(state.get(name)) is kind for name, kind in kinds.items()
    ):
        history.__setstate__({name: state[name] for name in kinds})
        return
    raise pickle.UnpicklingError('the state of a HistoryBuffer is malformed')


_CORES = ('numpy.core.multiarray', 'numpy._core.multiarray')

# Name in the file -> what stands in its place where a training is to resume.
REBUILDERS: dict[str, Any] = {
    'mmengine.logging.history_buffer.HistoryBuffer': History,
    'numpy.ndarray': ARRAY,
    'numpy.dtype': dtype,
    **{f'{core}._reconstruct': array for core in _CORES},
    **{f'{core}.scalar': scalar for core in _CORES},
    'argparse.Namespace': StandIn,  # timm's command line
    'builtins.bytes': no_bytes,
    'builtins.getattr': statistic,
    'builtins.slice': slice,
    'builtins.set': set,
    'collections.Counter': Counter,
    'torch.device': torch.device,
    '_codecs.encode': encode,
}

# Class -> what sets the state of its objects, in place of their own method.
SETTERS: dict[type, Any] = {
    HistoryBuffer: set_history,
    np.ndarray: set_array,
    StandIn: StandIn.__setstate__,
}
