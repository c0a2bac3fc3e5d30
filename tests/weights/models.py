"""Small models of the three toolboxes with GhostNetV2 0.25."""

import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

_BACKBONE = dict(type='GhostNetV2', widen_factor=0.25)
_CHANNELS = [8, 12, 28, 40]
_ANCHORS = dict(
    type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4, 8, 16, 32, 64]
)
_CODER = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[1.0] * 4)
_NECK = dict(type='FPN', in_channels=_CHANNELS, out_channels=8, num_outs=5)
_LOSS = dict(type='CrossEntropyLoss', use_sigmoid=True)
_PROPOSALS = dict(
    nms_pre=10, max_per_img=10, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0
)
_PREPROCESSOR = dict(type='DetDataPreprocessor', pad_size_divisor=32)

RETINANET = dict(
    type='RetinaNet',
    data_preprocessor=_PREPROCESSOR,
    backbone=_BACKBONE,
    neck=_NECK,
    bbox_head=dict(
        type='RetinaHead',
        num_classes=2,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        anchor_generator=_ANCHORS,
        bbox_coder=_CODER,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss'),
    ),
)
MASK_RCNN = dict(
    type='MaskRCNN',
    data_preprocessor=_PREPROCESSOR,
    backbone=_BACKBONE,
    neck=_NECK,
    rpn_head=dict(
        type='RPNHead',
        in_channels=8,
        feat_channels=8,
        anchor_generator=_ANCHORS,
        bbox_coder=_CODER,
        loss_cls=_LOSS,
        loss_bbox=dict(type='L1Loss'),
    ),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=8,
            featmap_strides=[4, 8, 16, 32],
        ),
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            in_channels=8,
            fc_out_channels=16,
            roi_feat_size=7,
            num_classes=2,
            bbox_coder=_CODER,
            loss_cls=dict(type='CrossEntropyLoss'),
            loss_bbox=dict(type='L1Loss'),
        ),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=8,
            featmap_strides=[4, 8, 16, 32],
        ),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=1,
            in_channels=8,
            conv_out_channels=8,
            num_classes=2,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True),
        ),
    ),
    train_cfg=dict(rpn=None, rcnn=None),
    test_cfg=dict(rpn=_PROPOSALS, rcnn=dict(score_thr=0.05, mask_thr_binary=0.5)),
)
DEEPLABV3 = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor'),
    backbone=_BACKBONE,
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
    backbone=_BACKBONE,
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


def mask_rcnn(**backbone) -> nn.Module:
    return _build('mmdet', MASK_RCNN, backbone)


def deeplabv3(**backbone) -> nn.Module:
    return _build('mmseg', DEEPLABV3, dict(output_stride=8, **backbone))


def image_classifier(**backbone) -> nn.Module:
    return _build('mmpretrain', CLASSIFIER, dict(backbone, out_indices=(5,)))


ALL = [retinanet, mask_rcnn, deeplabv3, image_classifier]
