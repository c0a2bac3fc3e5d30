"""The models of the base configs of the three toolboxes, with GhostNetV2 0.25."""

from typing import Any

import torch.nn as nn
from mmengine.registry import MODELS, init_default_scope

from tests.configs.names import load
from tests.weights.conftest import WIDTH


def _build(scope: str, name: str, backbone: dict, options: dict[str, Any]) -> nn.Module:
    init_default_scope(scope)
    cfg = load(f'_base_/models/{name}.py')
    cfg.merge_from_dict({f'model.{key}': value for key, value in options.items()})
    cfg.model.backbone.update(dict(widen_factor=WIDTH, init_cfg=None) | backbone)
    return MODELS.build(cfg.model)


def retinanet(**backbone) -> nn.Module:
    options = {'neck.in_channels': [12, 28, 40]}
    return _build('mmdet', 'retinanet_ghostnetv2_light', backbone, options)


def deeplabv3(**backbone) -> nn.Module:
    options = {'decode_head.in_channels': 40, 'auxiliary_head.in_channels': 28}
    return _build('mmseg', 'deeplabv3_ghostnetv2', backbone, options)


def image_classifier(**backbone) -> nn.Module:
    options = {'head.in_channels': 240, 'head.num_classes': 10}
    return _build('mmpretrain', 'ghostnetv2_classifier', backbone, options)


ALL = [retinanet, deeplabv3, image_classifier]
