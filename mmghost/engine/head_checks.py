"""Do the heads of a segmentor fit the output stride of its backbone?"""

import math
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from .data_checks import Problem
from .toolbox import type_name

# What mmseg's heads take where a config does not say.
_DEFAULT_DILATIONS = {
    'ASPPHead': (1, 6, 12, 18),
    'DepthwiseSeparableASPPHead': (1, 6, 12, 18),
}
# DeepLabV3's rates 12, 24, 36 at stride 8 and 6, 12, 18 at stride 16 reach as far.
_REACH = 36 * 8  # px of the picture


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
        crop = _crop_size(cfg)
        stride = _stride(backbone, head.get('in_index', -1))
        if crop is None or stride is None:
            continue
        problems += _check_dilations(path, _dilations(head), stride, crop)
    return problems


def _pyramids(model: dict) -> Iterator[tuple[str, dict]]:
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key) or []
        heads = [heads] if isinstance(heads, dict) else heads
        for i, head in enumerate(heads):
            path = f'model.{key}' + (f'[{i}]' if len(heads) > 1 else '')
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


def _crop_size(cfg: Config) -> tuple[int, int] | None:
    """Height and width of the batches that the model trains on."""
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
    remedy = f'--cfg-options {path}.dilations="({shown})"'
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
