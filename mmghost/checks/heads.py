"""Do neck and heads fit the channels and the output stride of the backbone?"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config

from .. import models
from .toolbox import option_key
from .toolbox import type_name
from .annotations import Problem

# They start from random unless told otherwise.
OUR_BACKBONES = ('GhostNetV2', 'GhostNetV1', 'AttentionMobileNetV2')
# What mmseg's heads take where a config does not say.
_DEFAULT_DILATIONS = {
    'ASPPHead': (1, 6, 12, 18),
    'DepthwiseSeparableASPPHead': (1, 6, 12, 18),
}
# DeepLabV3's rates 12, 24, 36 at stride 8 and 6, 12, 18 at stride 16 reach as far.
_REACH = 36 * 8  # px of the picture


def check_channels(cfg: Config) -> list[Problem]:
    """Check that neck and heads expect the channels that the backbone gives.

    Where they do not, the first step of a training fails in a convolution, in words that
    name neither.

    Args:
        cfg: The config, all options merged. Backbones other than ours are left alone.

    Returns:
        What was found.
    """
    channels = _channels(cfg.model.get('backbone'))
    if channels is None:
        return []
    return [
        Problem(
            f'{path}.in_channels',
            f'is {expected}, the backbone gives {given}',
            f'--cfg-options {option_key(path)}.in_channels="{given}"'.replace(
                ', ', ','
            ),
        )
        for path, expected, given in _joints(cfg.model, channels)
        if expected != given
    ]


def _channels(backbone: Any) -> list[int] | None:
    if not isinstance(backbone, dict):
        return None
    name = type_name(backbone.get('type'))
    if name not in OUR_BACKBONES:
        return None
    arguments = {k: v for k, v in backbone.items() if k not in ('type', '_scope_')}
    try:  # without memory, and without a random number of the training's
        with torch.random.fork_rng(devices=[]), torch.device('meta'):
            built = getattr(models, name)(**{**arguments, 'init_cfg': None})
    except Exception:
        return None  # building the model tells what is wrong
    return list(built.out_channels)


def _joints(model: dict, channels: list[int]) -> Iterator[tuple[str, Any, Any]]:
    """Name what reads the backbone, the channels that it expects, and those there are."""
    neck = model.get('neck')
    path = 'model.neck'
    if isinstance(neck, list | tuple) and neck:
        neck, path = neck[0], f'{path}[0]'
    if isinstance(neck, dict) and 'in_channels' in neck:
        expected = neck['in_channels']
        if isinstance(expected, list | tuple):
            # YOLOv3's names them from the deepest map on.
            turned = type_name(neck.get('type')) == 'YOLOV3Neck'
            yield path, list(expected), channels[::-1] if turned else channels
    elif neck is None:
        for key in ('decode_head', 'auxiliary_head'):
            heads = model.get(key) or []
            for i, head in enumerate([heads] if isinstance(heads, dict) else heads):
                given = _selected(channels, head.get('in_index', -1))
                if given is not None and 'in_channels' in head:
                    expected = head['in_channels']
                    several = isinstance(expected, list | tuple)
                    where = f'model.{key}' + ('' if heads is head else f'[{i}]')
                    yield where, list(expected) if several else expected, given
    elif type_name(neck.get('type')) == 'GlobalAveragePooling':
        head = model.get('head')
        if isinstance(head, dict) and isinstance(head.get('in_channels'), int):
            yield 'model.head', head['in_channels'], channels[-1]


def _selected(channels: list[int], index: Any) -> Any:
    try:
        if isinstance(index, list | tuple):
            return [channels[i] for i in index]
        return channels[index]
    except (TypeError, IndexError):
        return None  # building the model tells that


def check_heads(cfg: Config) -> list[Problem]:
    """Check ASPP's dilations against the maps that it will train on.

    A 3x3 convolution whose dilation is not below the side of its map sees zeros but for
    its centre: those weights never learn, and the pyramid is none.

    Args:
        cfg: The config, all options merged. Backbones other than GhostNet are left
            alone, for their strides are not known here.

    Returns:
        What was found.
    """
    backbone = cfg.model.get('backbone')
    if not isinstance(backbone, dict) or cfg.model.get('neck') is not None:
        return []
    if type_name(backbone.get('type')) not in ('GhostNetV1', 'GhostNetV2'):
        return []
    problems = []
    for path, head in _pyramids(cfg.model):
        problems += _check_batch(cfg, path)
        crop = crop_size(cfg)
        stride = _stride(backbone, head.get('in_index', -1))
        if crop is None or stride is None:
            continue
        problems += _check_dilations(path, _dilations(head), stride, crop)
    return problems


def _pyramids(model: dict) -> Iterator[tuple[str, dict]]:
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key) or []
        for i, head in enumerate([heads] if isinstance(heads, dict) else heads):
            path = f'model.{key}' + ('' if heads is head else f'[{i}]')
            if _dilations(head):
                yield path, head


def _dilations(head: dict) -> tuple[int, ...]:
    default = _DEFAULT_DILATIONS.get(type_name(head.get('type')), ())
    return tuple(head.get('dilations', default))


def _stride(backbone: dict, in_index: Any) -> int | None:
    indices = backbone.get('out_indices', (1, 2, 3, 4))
    indices = (indices,) if isinstance(indices, int) else indices
    try:
        stage = indices[in_index] % 6
    except (TypeError, IndexError):
        return None  # building the model tells that
    return min(2 ** (min(stage, 4) + 1), backbone.get('output_stride', 32))


def crop_size(cfg: Config) -> tuple[int, int] | None:
    """Height and width in px of the batches that a segmentor trains on, if it says."""
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    size = (preprocessor or {}).get('size')
    if isinstance(size, int):
        size = (size, size)
    return tuple(size) if size else None


def _check_dilations(
    path: str, dilations: tuple[int, ...], stride: int, crop: tuple[int, int]
) -> list[Problem]:
    sides = [math.ceil(side / stride) for side in crop]
    largest = max(dilations)
    fitting = dilations
    while max(fitting) >= min(sides) and max(fitting) > 1:
        fitting = tuple(max(1, dilation // 2) for dilation in fitting)
    shown = ','.join(map(str, fitting))
    remedy = f'--cfg-options {option_key(path)}.dilations="({shown})"'
    if largest >= min(sides):
        dead = largest >= max(sides)
        return [
            Problem(
                f'{path}.dilations',
                f'{dilations} do not fit output stride {stride}: crops of '
                f'{crop[1]}x{crop[0]} px give maps of {sides[1]}x{sides[0]}, on which a '
                f'dilation of {largest} reads '
                + ('only zeros beside its centre' if dead else 'zeros in most places'),
                remedy,
                fatal=dead,
            )
        ]
    if largest * stride > 1.5 * _REACH:
        return [
            Problem(
                f'{path}.dilations',
                f"{dilations} at output stride {stride} reach {largest * stride} px; DeepLabV3's "
                f'reach {_REACH} px at every stride',
                'divide them by what the output stride grew',
                fatal=False,
            )
        ]
    return []


def _check_batch(cfg: Config, path: str) -> list[Problem]:
    """Check that the pyramid's global average meets more than one picture."""
    batch = (cfg.get('train_dataloader') or {}).get('batch_size')
    if batch != 1 or cfg.get('launcher', 'none') != 'none':
        return []
    return [
        Problem(
            'train_dataloader.batch_size',
            f'is 1: {path} averages over the picture, and batch norm cannot normalise '
            'one value',
            '--cfg-options train_dataloader.batch_size=2, or more',
        )
    ]
