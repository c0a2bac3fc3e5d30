"""Torch's files read without running their code.

``torch.load(weights_only=True)`` reads tensors and plain containers. The checkpoints of
training runs also hold bookkeeping of other classes: mmengine's history of the loss,
timm's command line. For weights those classes are replaced by inert stand-ins; where a
training resumes, by functions that rebuild its history and nothing else. Anything else
is refused by name, and there is no other reader to fall back to.
"""

import os
import pickle
import pickletools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.utils import digit_version
from torch import _weights_only_unpickler

from ..errors import examples
from .bookkeeping import REBUILDERS, SETTERS, StandIn, set_dtype
from .errors import WeightsError
from .pickle_names import globals_in, is_archive, present_name

# What the training checkpoints of mmengine and timm hold beside weights. (`getattr` is
# how pickle names a method: here those of the history's statistics.)
BOOKKEEPING = frozenset(REBUILDERS)

_FORCED = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
# From here on torch's own reader can be told of stand-ins.
_TORCH_TAKES_STAND_INS = digit_version(torch.__version__) >= digit_version('2.6.0')


def load(path: Path, source: str) -> Any:
    """Read a file of ``torch.save``.

    Args:
        path: The file, in torch's present (zip) or earlier format.
        source: What the person called it, for the messages.

    Returns:
        The content, tensors on the CPU; bookkeeping as :class:`StandIn`.

    Raises:
        WeightsError: If it is damaged, or holds anything but tensors and plain data.
    """
    needs, whole = _foreign(path)
    if needs:
        raise WeightsError(
            f'{source}: would run code when it is read ({examples(needs)}), so it is '
            'not. If you trust where it comes from, load it yourself and save its '
            "state_dict: torch.save({'state_dict': model.state_dict()}, FILE)"
        )
    if not (is_archive(path) or _is_earlier_format(path)):
        raise WeightsError(f'{source}: is a pickle, but not one of torch.save')
    try:
        if whole:
            return _load(path)
    except Exception:  # what it needs has been looked at: the rest is damage
        pass
    raise _damaged(path, source)


def load_training(path: Path, source: str, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint with all that a training needs to resume.

    Args:
        path: The file, in torch's present (zip) or earlier format.
        source: What the person called it, for the messages.
        map_location: As for :func:`torch.load`.

    Returns:
        The content, mmengine's history of the loss and NumPy's numbers included.

    Raises:
        WeightsError: If it is damaged, or would run code; a person who trusts it all the
            same says so by the environment variable ``MMGHOST_TRUST_CHECKPOINT=1``.
    """
    if is_trusted():
        return torch.load(path, map_location=map_location, weights_only=False)
    needs, whole = _foreign(path)
    if needs:
        raise WeightsError(would_run(source, needs))
    if not whole or not (is_archive(path) or _is_earlier_format(path)):
        raise _damaged(path, source)
    try:
        return _load_by(_TrainingUnpickler, path, map_location)
    except pickle.UnpicklingError as error:
        raise WeightsError(would_run(source, [str(error)])) from None
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:  # as for a device that is not there
        raise WeightsError(
            f'{source}: cannot be read: {str(error).splitlines()[0]}'
        ) from None
    except Exception:
        raise _damaged(path, source) from None


def is_trusted() -> bool:
    """Whether the person at the terminal lets checkpoints run code."""
    return os.environ.get('MMGHOST_TRUST_CHECKPOINT') == '1'


def would_run(what: str, needs: list[str]) -> str:
    """Say that a checkpoint is refused, and how to have it read all the same."""
    return (
        f'{what} would run code when it is read: {", ".join(needs)}. '
        'If you know where it comes from and trust that, set '
        'MMGHOST_TRUST_CHECKPOINT=1'
    )


def _damaged(path: Path, source: str) -> WeightsError:
    return WeightsError(
        f'{source}: is cut short or damaged ({path.stat().st_size} bytes)'
    )


def _is_earlier_format(path: Path) -> bool:
    """Whether the first pickle of a file is torch's magic number, as before torch 1.6."""
    with path.open('rb') as file:
        head = file.read(64)
    try:
        return any(
            arg == torch.serialization.MAGIC_NUMBER
            for _, arg, _ in pickletools.genops(head)
        )
    except ValueError:
        return False


def _load(path: Path, stand_ins_by_torch: bool = _TORCH_TAKES_STAND_INS) -> Any:
    if stand_ins_by_torch:
        known = [(StandIn, name) for name in sorted(BOOKKEEPING - _allowed().keys())]
        with torch.serialization.safe_globals(known):
            return torch.load(path, map_location='cpu', weights_only=True)
    return _load_by(_Unpickler, path, 'cpu')


def _load_by(reader: type['_Unpickler'], path: Path, map_location: Any) -> Any:
    """Read a file by torch with a reader of ours."""
    # Told by torch's own look at the archive: it would run a program without asking.
    if is_archive(path):
        entries = torch._C.PyTorchFileReader(os.fspath(path)).get_all_records()
        if 'constants.pkl' in entries:
            raise pickle.UnpicklingError('a TorchScript program')
    module = SimpleNamespace(
        __name__='mmghost.weights', Unpickler=reader, load=reader.load_file
    )
    with _own_reader():
        return torch.load(
            path, map_location=map_location, weights_only=False, pickle_module=module
        )


@contextmanager
def _own_reader() -> Iterator[None]:
    """Let torch use another reader where weights_only is forced; ours is as strict."""
    forced = os.environ.pop(_FORCED, None)
    try:
        yield
    finally:
        if forced is not None:
            os.environ[_FORCED] = forced


def _allowed() -> dict[str, Any]:
    """What torch's weights_only allows, by name."""
    return _weights_only_unpickler._get_allowed_globals()


class _Unpickler(pickle._Unpickler):
    """The rules of weights_only, and stand-ins for bookkeeping, on any version of torch.

    The rules of that reader (``torch._weights_only_unpickler``): a global is looked up
    in a table, never imported; only what stands in the table is called; only containers
    and tensors get their state set.
    """

    bookkeeping: Mapping[str, Any] = dict.fromkeys(BOOKKEEPING, StandIn)
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: Any, **kwargs: Any) -> None:
        super().__init__(file, **kwargs)
        self.known = {**self.bookkeeping, **_allowed()}
        self.callables = {id(value) for value in self.known.values()}

    @classmethod
    def load_file(cls, file: Any, **kwargs: Any) -> Any:
        return cls(file, **kwargs).load()

    def find_class(self, module: str, name: str) -> Any:
        full = present_name(module, name)
        if full not in self.known:
            raise pickle.UnpicklingError(f'{full} is not allowed')
        return self.known[full]

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError('extensions are not allowed')

    def check_callable(self, value: Any) -> None:
        if id(value) not in self.callables:
            raise pickle.UnpicklingError(f'a call of {value!r:.80} is not allowed')

    def load_reduce(self) -> None:
        self.check_callable(self.stack[-2])
        super().load_reduce()

    def load_newobj(self) -> None:
        self.check_callable(self.stack[-2])
        super().load_newobj()

    def load_newobj_ex(self) -> None:
        self.check_callable(self.stack[-3])
        super().load_newobj_ex()

    def load_old_call(self) -> None:
        raise pickle.UnpicklingError('calls in the way of protocol 0 are not allowed')

    def load_build(self) -> None:
        kinds = (dict, torch.Tensor, torch.nn.Parameter, StandIn)
        if not isinstance(self.stack[-2], kinds):
            raise pickle.UnpicklingError('the state of such objects may not be set')
        super().load_build()

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.INST[0]] = dispatch[pickle.OBJ[0]] = load_old_call
    dispatch[pickle.BUILD[0]] = load_build


class _TrainingUnpickler(_Unpickler):
    """The same, with the bookkeeping of a training rebuilt from its numbers."""

    bookkeeping = REBUILDERS
    dispatch = dict(_Unpickler.dispatch)

    def __init__(self, file: Any, **kwargs: Any) -> None:
        super().__init__(file, **kwargs)
        self.known.update(self.bookkeeping)  # also in place of what torch allows
        self.callables = {id(value) for value in self.known.values()}

    def load_build(self) -> None:
        target = self.stack[-2]
        if isinstance(target, np.dtype):
            set_dtype(target, self.stack.pop())
        elif type(target) in SETTERS:
            SETTERS[type(target)](target, self.stack.pop())
        else:
            super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _foreign(path: Path) -> tuple[list[str], bool]:
    """Name the globals in a file that are neither weights nor bookkeeping.

    Returns:
        The names, and whether the pickles could be followed to their end.
    """
    names: set[str] = set()
    whole = True
    try:
        for name in globals_in(path):
            names.add(name)
    except Exception:  # whatever pickletools makes of damage
        whole = False
    return sorted(names - BOOKKEEPING - _allowed().keys()), whole
