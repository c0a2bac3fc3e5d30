"""Whose promises are examined: our backbones, and peers that people use instead."""

import importlib
import inspect
from dataclasses import dataclass, field
from typing import Any

import torch.nn as nn
from mmengine.registry import MODELS

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators


class Lacking(Exception):
    """The backbone has no such argument, so there is nothing to promise."""


@dataclass(frozen=True)
class Backbone:
    """One backbone and how to ask it for four maps.

    Args:
        name: How people call it.
        type: Its name in the registry, with the scope.
        stages: How many outputs it has: valid indices are ``0`` to ``stages - 1``.
        taps: Indices of its maps at strides 4, 8, 16 and 32.
        frozen: A value of frozen_stages that freezes more than the stem.
        settings: Further arguments.
    """

    name: str
    type: str
    stages: int
    taps: tuple[int, ...]
    frozen: int = 2
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def build(self, **arguments: Any) -> nn.Module:
        """Build it with ``arguments`` beside its settings.

        Raises:
            Lacking: If it has no such argument at all.
        """
        scope = self.type.partition('.')[0]
        importlib.import_module(f'{scope}.models')
        takes = inspect.signature(MODELS.get(self.type)).parameters
        for name in arguments:
            # What **kwargs does with a name that is not out_indices is not documented.
            if name not in takes and name != 'out_indices':
                raise Lacking(name)
        arguments.setdefault('out_indices', self.taps)
        return MODELS.build({'type': self.type, **self.settings, **arguments})


NARROW = dict(widen_factor=0.25)

OURS = [
    Backbone('GhostNetV2', 'mmghost.GhostNetV2', 6, (1, 2, 3, 4), settings=NARROW),
    Backbone(
        'GhostNetV2, stride 8',
        'mmghost.GhostNetV2',
        6,
        (1, 2, 3, 4),
        settings=dict(output_stride=8, **NARROW),
    ),
    Backbone('GhostNetV1', 'mmghost.GhostNetV1', 6, (1, 2, 3, 4), settings=NARROW),
    Backbone(
        'MobileNetV2 with DFC',
        'mmghost.AttentionMobileNetV2',
        8,
        (1, 2, 4, 6),
        settings=dict(attention=dict(type='DFCAttention'), **NARROW),
    ),
]

PEERS = [
    Backbone(
        "timm's GhostNetV2 (TIMMBackbone)",
        'mmpretrain.TIMMBackbone',
        5,
        (1, 2, 3, 4),
        settings=dict(model_name='ghostnetv2_100', features_only=True),
    ),
    Backbone(
        'ResNet-18 (mmdet)', 'mmdet.ResNet', 4, (0, 1, 2, 3), settings={'depth': 18}
    ),
    Backbone('MobileNetV2 (mmdet)', 'mmdet.MobileNetV2', 8, (1, 2, 4, 6)),
    Backbone(
        'CSPNeXt (mmdet)',
        'mmdet.CSPNeXt',
        5,
        (1, 2, 3, 4),
        settings=dict(widen_factor=0.25, deepen_factor=0.25),
    ),
    Backbone('MobileNetV2 (mmseg)', 'mmseg.MobileNetV2', 7, (1, 2, 4, 6)),
    Backbone('MobileNetV2 (mmpretrain)', 'mmpretrain.MobileNetV2', 8, (1, 2, 4, 6)),
    Backbone(
        'MobileNetV3-large (mmpretrain)',
        'mmpretrain.MobileNetV3',
        17,
        (3, 6, 12, 16),
        frozen=4,
        settings={'arch': 'large'},
    ),
    Backbone(
        'ShuffleNetV2 (mmpretrain)',
        'mmpretrain.ShuffleNetV2',
        4,
        (0, 1, 2),
        settings=dict(widen_factor=0.5),
    ),
    Backbone(
        'RepVGG-A0 (mmpretrain)',
        'mmpretrain.RepVGG',
        4,
        (0, 1, 2, 3),
        settings={'arch': 'A0'},
    ),
    Backbone(
        'MobileOne-s0 (mmpretrain)',
        'mmpretrain.MobileOne',
        4,
        (0, 1, 2, 3),
        settings={'arch': 's0'},
    ),
    Backbone(
        'MobileViT-xxs (mmpretrain)',
        'mmpretrain.MobileViT',
        5,
        (1, 2, 3, 4),
        settings={'arch': 'xx_small'},
    ),
]
