"""Writers of weight files; that of MindSpore's format needs no protobuf."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

TYPES = {
    torch.float32: 'Float32',
    torch.float16: 'Float16',
    torch.bfloat16: 'BFloat16',
    torch.int32: 'Int32',
}


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(value: torch.Tensor, packed: bool = False) -> bytes:
    dims = b''.join(field(1, size) for size in value.shape)
    if packed:
        dims = field(1, b''.join(varint(size) for size in value.shape))
    content = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return dims + field(2, TYPES[value.dtype].encode()) + field(3, content)


def write_mindspore(state: dict[str, torch.Tensor], packed: bool = False) -> bytes:
    return b''.join(
        field(1, field(1, name.encode()) + field(2, tensor(value, packed)))
        for name, value in state.items()
    )


def save(state: dict[str, torch.Tensor], path: Path) -> Path:
    """Write weights in the format of a path's ending, `.tar` as torch did before 1.6."""
    if path.suffix == '.ckpt':
        path.write_bytes(write_mindspore(state))
    elif path.suffix == '.safetensors':
        pytest.importorskip('safetensors.torch').save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=path.suffix != '.tar')
    return path


def _renamed(state: dict[str, torch.Tensor], layer_of: Callable) -> dict:
    """Rename layers, and the numbers of batch norms as MindSpore does."""
    leaves = dict(
        weight='gamma', bias='beta', running_mean='moving_mean',
        running_var='moving_variance',
    )  # fmt: skip
    renamed = {}
    for name, value in state.items():
        path, _, leaf = name.rpartition('.')
        is_norm = f'{path}.running_mean' in state
        if leaf != 'num_batches_tracked':
            leaf = leaves[leaf] if is_norm else leaf
            renamed[f'{layer_of(path, is_norm)}.{leaf}'] = value
    return renamed


def mindspore_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the release's weights as MindSpore's model zoo calls them."""
    blocks = {}
    for name in state:
        found = re.match(r'blocks\.(\d+)\.(\d+)\.', name)
        if found:
            blocks.setdefault((int(found[1]), int(found[2])), len(blocks))

    def layer_of(path: str, is_norm: bool) -> str:
        found = re.fullmatch(r'blocks\.(\d+)\.(\d+)\.(.+)', path)
        layer = found[3] if found else path
        unit = re.fullmatch(r'(.*(?:primary_conv|cheap_operation))\.\d', layer)
        pair = re.fullmatch(r'(.*(?:short_conv|shortcut))\.(\d)', layer)
        kind = 'bn' if is_norm else 'conv'
        if unit:
            layer = f'{unit[1]}.{kind}'
        elif pair:
            layer = f'{pair[1]}.{int(pair[2]) // 2}.{kind}'
        elif layer in ('conv_dw', 'bn_dw'):
            layer = f'dw.{kind}'
        elif found and layer in ('conv', 'bn1'):
            layer = kind
        if found:
            layer = f'blocks.{blocks[int(found[1]), int(found[2])]}.{layer}'
        return layer

    return _renamed(state, layer_of)


def mindcv_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the release's weights to the names of MindCV's ghostnet.py."""

    def layer_of(path: str, is_norm: bool) -> str:
        path = path.replace('blocks.9.0.conv', 'blocks.9.features.0')
        return path.replace('blocks.9.0.bn1', 'blocks.9.features.1')

    return _renamed(state, layer_of)
