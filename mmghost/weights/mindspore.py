"""MindSpore's .ckpt files, read without MindSpore, and its names for GhostNet's weights.

The format is one protobuf message: a list of (name, tensor), a tensor being dims, type
name and raw bytes (``checkpoint.proto`` in MindSpore's sources). The reader below knows
just that message, and trusts no length in the file.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..models.ghostnet import STAGES
from .errors import WeightsError

_DTYPES = {
    'Float16': torch.float16,
    'BFloat16': torch.bfloat16,
    'Float32': torch.float32,
    'Float64': torch.float64,
    'Int8': torch.int8,
    'UInt8': torch.uint8,
    'Int16': torch.int16,
    'Int32': torch.int32,
    'Int64': torch.int64,
    'Bool': torch.uint8,
}
_ITEM_SIZES = {
    dtype: torch.empty(0, dtype=dtype).element_size() for dtype in _DTYPES.values()
}

# Generous for a network of 642 tensors with names below 50 characters.
_MAX_TENSORS = 100_000
_MAX_NAME = 1000
_MAX_DIMS = 8

# MindSpore 2.3 and later may append this and ten bytes of a checksum to the message.
_CHECKSUM_MARK, _CHECKSUM_SIZE = b'crc_num', 10


class _Field(NamedTuple):
    """One field of a protobuf message: a number, or where its bytes are."""

    number: int
    value: int
    begin: int
    end: int

    @property
    def is_bytes(self) -> bool:
        return self.begin >= 0


class _Fault(Exception):
    """What is wrong with a message, and at which byte."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(f'{what} at byte {position}')


def looks_like(head: bytes) -> bool:
    """Tell by its first bytes whether a file may be a MindSpore checkpoint.

    Args:
        head: The first 64 bytes or more.
    """
    try:
        outer = next(_fields(head, 0, len(head), cut=True))
        inner = next(_fields(head, outer.begin, len(head), cut=True))
    except (_Fault, StopIteration):
        return False
    name = head[inner.begin : inner.end]
    return (
        (outer.number, inner.number) == (1, 1)
        and outer.is_bytes
        and inner.is_bytes
        and bool(re.fullmatch(rb'[\w.\-/:]+', name))
    )


def read(data: bytes, source: str) -> dict[str, Tensor]:
    """Read the tensors of a MindSpore checkpoint.

    Args:
        data: The content of the file.
        source: What the person called it, for the messages.

    Returns:
        The tensors by MindSpore's names, in the file's order. Entries that are no
        tensors (strings) are left out.

    Raises:
        WeightsError: If the file is cut short, damaged or no such checkpoint. It names
            the entry and the byte.
    """
    end = len(data)
    mark = end - _CHECKSUM_SIZE - len(_CHECKSUM_MARK)
    if mark > 0 and data.startswith(_CHECKSUM_MARK, mark):
        end = mark
    tensors: dict[str, Tensor] = {}
    count = 0
    try:
        for field in _fields(data, 0, end):
            if field.number != 1 or not field.is_bytes:
                continue
            count += 1
            if count > _MAX_TENSORS:
                raise _Fault(f'more than {_MAX_TENSORS} tensors', field.begin)
            name, tensor = _entry(data, field)
            if name in tensors:
                raise _Fault(f'a second tensor called {name}', field.begin)
            if tensor is not None:
                tensors[name] = tensor
    except _Fault as fault:
        raise WeightsError(
            f'{source}: is a damaged MindSpore checkpoint: {fault} of {len(data)} '
            f'({len(tensors)} tensors were whole)'
        ) from None
    if not tensors:
        raise WeightsError(f'{source}: is a MindSpore checkpoint without any tensor')
    return tensors


def _entry(data: bytes, entry: _Field) -> tuple[str, Tensor | None]:
    name, body = None, None
    for field in _fields(data, entry.begin, entry.end):
        if field.number == 1 and field.is_bytes:
            name = _text(data, field, 'a name')
        elif field.number == 2 and field.is_bytes:
            body = field
    if not name:
        raise _Fault('a tensor without a name', entry.begin)
    if body is None:
        raise _Fault(f'{name} without a tensor', entry.begin)
    return name, _tensor(data, body, name)


def _tensor(data: bytes, body: _Field, name: str) -> Tensor | None:
    dims: list[int] = []
    kind, content = None, None
    for field in _fields(data, body.begin, body.end):
        if field.number == 1:
            dims += _packed(data, field) if field.is_bytes else [field.value]
            if len(dims) > _MAX_DIMS:
                raise _Fault(f'{name} with more than {_MAX_DIMS} dims', body.begin)
        elif field.number == 2 and field.is_bytes:
            kind = _text(data, field, 'a type')
        elif field.number == 3 and field.is_bytes:
            content = field
    if kind == 'str':
        return None
    if kind not in _DTYPES:
        raise _Fault(f'{name} of the unknown type {kind!r}', body.begin)
    if content is None:
        raise _Fault(f'{name} without content', body.begin)
    dtype = _DTYPES[kind]
    size = content.end - content.begin
    if dims == [0] and size == _ITEM_SIZES[dtype]:
        dims = []  # how MindSpore writes a scalar
    items = 1
    for dim in dims:
        items *= dim
    if items * _ITEM_SIZES[dtype] != size:
        raise _Fault(
            f'{name} of shape {tuple(dims)} and type {kind} with {size} bytes',
            content.begin,
        )
    if items == 0:
        raise _Fault(f'{name} of shape {tuple(dims)}, which is empty', body.begin)
    # A copy: the file's bytes are read-only and not aligned.
    raw = bytearray(data[content.begin : content.end])
    return torch.frombuffer(raw, dtype=dtype).reshape(dims)


def _text(data: bytes, field: _Field, what: str) -> str:
    if field.end - field.begin > _MAX_NAME:
        raise _Fault(f'{what} of {field.end - field.begin} bytes', field.begin)
    try:
        return data[field.begin : field.end].decode('utf-8')
    except UnicodeDecodeError:
        raise _Fault(f'{what} that is no text', field.begin) from None


def _packed(data: bytes, field: _Field) -> list[int]:
    numbers, position = [], field.begin
    while position < field.end and len(numbers) <= _MAX_DIMS:
        number, position = _varint(data, position, field.end)
        numbers.append(number)
    return numbers


def _fields(data: bytes, begin: int, end: int, cut: bool = False) -> Iterator[_Field]:
    """Walk through a message.

    Args:
        data: The file.
        begin: Where the message begins.
        end: Where it ends.
        cut: Whether ``data`` is only the beginning of the file, so that bytes may end
            behind it.
    """
    position = begin
    while position < end:
        start = position
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise _Fault('a field with the number 0', start)
        if wire == 0:
            value, position = _varint(data, position, end)
            yield _Field(number, value, -1, -1)
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
            if position > end:
                raise _Fault('the end of the message', end)
        elif wire == 2:
            length, position = _varint(data, position, end)
            if length > end - position and not cut:
                raise _Fault(
                    f'a length of {length} bytes where {end - position} are left', start
                )
            yield _Field(number, 0, position, position + length)
            position += length
        else:
            raise _Fault(f'the unknown wire type {wire}', start)


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value, start = 0, position
    for shift in range(0, 64, 7):
        if position >= end:
            raise _Fault('the end of the message', end)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Fault('a number of more than ten bytes', start)


# The names of the weights.

# A bottleneck is `blocks.N` in MindSpore and `blocks.S.B` in the release.
_BLOCKS = [
    f'{s}.{b}'
    for s, group in enumerate(group for stage in STAGES for group in stage)
    for b in range(len(group))
]
_LAST = len(_BLOCKS)
_LEAVES = {
    'gamma': 'weight',
    'beta': 'bias',
    'moving_mean': 'running_mean',
    'moving_variance': 'running_var',
    'weight': 'weight',
    'bias': 'bias',
}


def is_named_so(names: set[str]) -> bool:
    """Tell whether names are MindSpore's: its batch norm has gamma and beta."""
    return 'bn1.gamma' in names


def released_name(name: str) -> str | None:
    """Translate MindSpore's name of a weight.

    Args:
        name: Such as ``blocks.2.ghost1.short_conv.1.bn.gamma``.

    Returns:
        The release's name (``blocks.2.0.ghost1.short_conv.3.weight``), or None if it is
        no weight of GhostNet.
    """
    path, _, leaf = name.rpartition('.')
    leaf = _LEAVES.get(leaf, '')
    if not leaf:
        return None
    found = re.fullmatch(r'blocks\.(\d+)\.(.+)', path)
    if not found:
        return f'{path}.{leaf}' if path in _OUTSIDE else None
    block, layer = int(found[1]), found[2]
    if block < _LAST:
        layer = _released_layer(layer)
        return f'blocks.{_BLOCKS[block]}.{layer}.{leaf}' if layer else None
    if block == _LAST and layer in ('conv', 'bn'):
        layer = 'bn1' if layer == 'bn' else layer
        return f'blocks.{sum(map(len, STAGES))}.0.{layer}.{leaf}'
    return None


_OUTSIDE = ('conv_stem', 'bn1', 'conv_head', 'classifier')


def _released_layer(layer: str) -> str | None:
    """Translate a layer of a bottleneck; a ConvUnit has the children conv and bn."""
    if re.fullmatch(r'se\.conv_(reduce|expand)', layer):
        return layer
    unit, _, part = layer.rpartition('.')
    if part not in ('conv', 'bn'):
        return None
    if unit == 'dw':
        return f'{part}_dw'
    child = ('conv', 'bn').index(part)
    if re.fullmatch(r'ghost[12]\.(primary_conv|cheap_operation)', unit):
        return f'{unit}.{child}'
    found = re.fullmatch(r'((?:ghost[12]\.)?(?:short_conv|shortcut))\.(\d)', unit)
    if found:
        return f'{found[1]}.{2 * int(found[2]) + child}'
    return None
