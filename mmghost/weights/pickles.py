"""Torch's files read without running their code.

``torch.load(weights_only=True)`` reads tensors and plain containers. The checkpoints of
training runs also hold bookkeeping of other classes: mmengine's history of the loss,
timm's command line. Those classes are replaced by inert stand-ins, so that none of their
code runs either; anything else is refused by name.
"""

import _compat_pickle
import pickle
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.utils import digit_version
from torch import _weights_only_unpickler

from .errors import WeightsError, examples


class StandIn:
    """Takes the place of an object that is not needed, and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> 'StandIn':
        """Make one, whatever the arguments."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Drop the state."""


# What the training checkpoints of mmengine and timm hold beside weights. (`getattr` is
# how pickle names a method: here those of the history's statistics.)
BOOKKEEPING = frozenset(
    {
        'mmengine.logging.history_buffer.HistoryBuffer',
        'numpy.ndarray',
        'numpy.dtype',
        *(
            f'numpy.{core}.multiarray.{name}'
            for core in ('core', '_core')
            for name in ('_reconstruct', 'scalar')
        ),
        'argparse.Namespace',
        'builtins.getattr',
        'builtins.slice',
        # Newer versions of torch allow these.
        'builtins.set',
        'collections.Counter',
        'torch.device',
        '_codecs.encode',
    }
)

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
    if not (zipfile.is_zipfile(path) or _is_earlier_format(path)):
        raise WeightsError(f'{source}: is a pickle, but not one of torch.save')
    try:
        if whole:
            return _load(path)
    except Exception:  # what it needs has been looked at: the rest is damage
        pass
    raise WeightsError(
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
    reader = SimpleNamespace(
        __name__='mmghost.weights', Unpickler=_Unpickler, load=_Unpickler.load_file
    )
    return torch.load(
        path, map_location='cpu', weights_only=False, pickle_module=reader
    )


def _allowed() -> dict[str, Any]:
    """What torch's weights_only allows, by name."""
    return _weights_only_unpickler._get_allowed_globals()


class _Unpickler(pickle._Unpickler):
    """For torch < 2.6: weights_only's rules, and the stand-ins.

    The rules of that reader (``torch._weights_only_unpickler``): a global is looked up
    in a table, never imported, and only containers and tensors get their state set.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    @classmethod
    def load_file(cls, file: Any, **kwargs: Any) -> Any:
        return cls(file, **kwargs).load()

    def find_class(self, module: str, name: str) -> Any:
        full = _present_name(module, name)
        if full in _allowed():
            return _allowed()[full]
        if full in BOOKKEEPING:
            return StandIn
        raise pickle.UnpicklingError(f'{full} is not allowed')

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError('extensions are not allowed')

    def load_build(self) -> None:
        kinds = (dict, torch.Tensor, torch.nn.Parameter, StandIn)
        if not isinstance(self.stack[-2], kinds):
            raise pickle.UnpicklingError('the state of such objects may not be set')
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


def globals_in(path: Path) -> Iterator[str]:
    """Name what the pickles in a file ask to import, without unpickling them.

    Args:
        path: The file, in torch's present (zip) or earlier format.

    Yields:
        Names such as ``torch._utils._rebuild_tensor_v2``.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith('.pkl'):
                    yield from _globals_of(archive.read(name))
        return
    # The earlier format: number, protocol, system, content, storages; then raw data.
    with path.open('rb') as file:
        for _ in range(5):
            yield from _globals_of(file)


def _globals_of(pickled: Any) -> Iterator[str]:
    strings: list[str] = []
    for opcode, arg, _ in pickletools.genops(pickled):
        if opcode.name in ('GLOBAL', 'INST'):
            module, name = arg.split(' ', 1)
            yield _present_name(module, name)
        elif opcode.name == 'STACK_GLOBAL':
            # Module and name were put on the stack before; where not as the last two
            # strings, the name is wrong here, and then it is refused all the same.
            yield _present_name(*strings[-2:])
        elif opcode.name in ('EXT1', 'EXT2', 'EXT4'):
            yield f'copyreg extension {arg}'
        elif isinstance(arg, str):
            strings.append(arg)


def _present_name(module: str, name: str) -> str:
    """Python 3's name of a global; torch pickles with a protocol of Python 2."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        module, name = _compat_pickle.NAME_MAPPING[module, name]
    else:
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
    return f'{module}.{name}'
