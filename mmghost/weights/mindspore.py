"""MindSpore's checkpoints, read without MindSpore, and its names for the weights.

Two projects published GhostNets: MindSpore's model zoo (V1 and V2; bottlenecks numbered
through, units with the children ``conv`` and ``bn``) and MindCV (V1; named like the
release). Both call the parameters of a batch norm gamma, beta and moving_*.
"""

import re
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from .networks import GROUPS, LAST_GROUP

_TYPES = ('Float16', 'BFloat16', 'Float32', 'Float64', 'Int32', 'Int64')
_DTYPES = {kind.encode(): getattr(torch, kind.lower()) for kind in _TYPES}


def looks_like(head: bytes) -> bool:
    """Return True if a file that begins so may be a MindSpore checkpoint."""
    # The first field is a message whose first field is the name of a parameter.
    return bool(re.match(rb'\n[\x80-\xff]{0,9}[\x00-\x7f]\n.[\w.\-/:]{3}', head, re.S))


# MindSpore's checkpoint.proto, as far as it is read here.
_PROTO = """
name: "checkpoint.proto"  syntax: "proto2"
message_type { name: "Tensor"
  field { name: "dims"    number: 1  label: LABEL_REPEATED  type: TYPE_INT64 }
  field { name: "kind"    number: 2  label: LABEL_OPTIONAL  type: TYPE_BYTES }
  field { name: "content" number: 3  label: LABEL_OPTIONAL  type: TYPE_BYTES } }
message_type { name: "Value"
  field { name: "tag"     number: 1  label: LABEL_OPTIONAL  type: TYPE_BYTES }
  field { name: "tensor"  number: 2  label: LABEL_OPTIONAL  type_name: ".Tensor" } }
message_type { name: "Checkpoint"
  field { name: "value"   number: 1  label: LABEL_REPEATED  type_name: ".Value" } }
"""


@lru_cache(maxsize=1)
def _message() -> Any:
    """Return the class of a checkpoint."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.text_format import Parse

    file = Parse(_PROTO, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('Checkpoint'))


def read(data: bytes, source: str) -> dict[str, Tensor]:
    """Return the tensors of a MindSpore checkpoint by MindSpore's names."""
    try:
        checkpoint = _message()()
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise WeightsError(
            f'{source}: MindSpore checkpoints need protobuf: pip install protobuf'
        ) from error
    size = len(data)
    # MindSpore 2.3 and later append this and ten bytes of a checksum where asked to.
    if data[-17:].startswith(b'crc_num'):
        data = data[:-17]
    tensors, name = {}, 'the message'
    try:
        checkpoint.ParseFromString(data)
        for value in checkpoint.value:
            dtype = _DTYPES.get(value.tensor.kind)
            if dtype is None:  # a string, or another kind of entry
                continue
            name, dims = value.tag.decode(), list(value.tensor.dims)
            flat = torch.frombuffer(bytearray(value.tensor.content), dtype=dtype)
            # A scalar is written with the dims [0].
            tensors[name] = flat.reshape([] if dims == [0] else dims)
    except (DecodeError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f'{source}: is a MindSpore checkpoint that is cut short or damaged ({size} '
            f'bytes; {name}: {error})'
        ) from error
    return tensors


_LEAVES = dict(
    gamma='weight',
    beta='bias',
    moving_mean='running_mean',
    moving_variance='running_var',
)
# The release's `blocks.S.B` by the number of the bottleneck.
_BLOCKS = [f'blocks.{g}.{b}' for g in range(LAST_GROUP) for b in range(len(GROUPS[g]))]


def released_name(name: str) -> str | None:
    """Return the release's name of a weight.

    Args:
        name: A name such as ``blocks.2.ghost1.short_conv.1.bn.gamma`` (model zoo; the
            release has ``blocks.2.0.ghost1.short_conv.3.weight``) or
            ``blocks.2.0.ghost1.primary_conv.1.gamma`` (MindCV).

    Returns:
        None if it is no weight of GhostNet but the state of an optimizer.
    """
    if not re.match(r'(conv_stem|bn1|blocks|conv_head|classifier)\.', name):
        return None
    path, _, leaf = name.rpartition('.')
    found = re.fullmatch(r'blocks\.(\d+)\.(\D.*)', path)
    if found:
        block, layer = int(found[1]), found[2]
        if block < len(_BLOCKS) and not layer.startswith('features.'):
            path = f'{_BLOCKS[block]}.{_released_layer(layer)}'
        else:  # the last convolution; MindCV's is a sequence of features
            is_conv = layer in ('conv', 'features.0')
            path = f'blocks.{LAST_GROUP}.0.' + ('conv' if is_conv else 'bn1')
    return f'{path}.{_LEAVES.get(leaf, leaf)}'


def _released_layer(layer: str) -> str:
    """Return the release's name of a layer of the model zoo's bottleneck."""
    unit, _, kind = layer.rpartition('.')
    if kind not in ('conv', 'bn'):
        return layer
    if unit == 'dw':
        return f'{kind}_dw'
    parent, _, index = unit.rpartition('.')
    if index.isdigit():
        return f'{parent}.{2 * int(index) + (kind == "bn")}'
    return f'{unit}.{int(kind == "bn")}'
