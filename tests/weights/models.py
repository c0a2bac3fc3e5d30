"""Small models of the three toolboxes with GhostNetV2 0.25."""

import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from tests.weights.conftest import WIDTH

_BACKBONE = dict(type='GhostNetV2', widen_factor=WIDTH)
RETINANET = dict(
    type='RetinaNet',
    data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
    backbone=_BACKBONE,
    neck=dict(type='FPN', in_channels=[8, 12, 28, 40], out_channels=8, num_outs=5),
    bbox_head=dict(
        type='RetinaHead',
        num_classes=2,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4, 8, 16, 32, 64]
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0] * 4,
            target_stds=[1.0] * 4,
        ),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss'),
    ),
)
DEEPLABV3 = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor'),
    backbone=dict(_BACKBONE, output_stride=8),
    decode_head=dict(
        type='ASPPHead',
        in_channels=40,
        in_index=3,
        channels=8,
        dilations=(1, 12, 24, 36),
        num_classes=3,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
CLASSIFIER = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=10),
    backbone=dict(_BACKBONE, out_indices=(5,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='StackedLinearClsHead',
        num_classes=10,
        in_channels=240,
        mid_channels=[1280],
        dropout_rate=0.2,
        loss=dict(type='CrossEntropyLoss'),
    ),
)


def _build(scope: str, cfg: dict, backbone: dict) -> nn.Module:
    init_default_scope(scope)
    cfg = Config(dict(model=cfg)).model
    cfg.backbone.update(backbone)
    return MODELS.build(cfg)


def retinanet(**backbone) -> nn.Module:
    return _build('mmdet', RETINANET, backbone)


def deeplabv3(**backbone) -> nn.Module:
    return _build('mmseg', DEEPLABV3, backbone)


def image_classifier(**backbone) -> nn.Module:
    return _build('mmpretrain', CLASSIFIER, backbone)


ALL = [retinanet, deeplabv3, image_classifier]
