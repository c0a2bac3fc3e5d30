"""Small networks of every kind that can be exported, each exported once."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from torch import Tensor

from mmghost.checks.toolbox import scope_of
from mmghost.datasets.shapes import make_shapes
from mmghost.deploy.export import Export, export_files
from mmghost.deploy.parity import noise
from mmghost.engine.launch import load_config
from tests.engine.toys import CLASSES, write_config

HEADS = ('reg', 'cls', 'pred', 'centerness', 'logits')  # parts of layers' names
BOXES = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[1.0] * 4)


def retinanet(model: ConfigDict) -> None:
    model.test_cfg.score_thr = 0.05


def fcos(model: ConfigDict) -> None:
    """No anchors, and a factor of the score beside the classes."""
    model.bbox_head = dict(
        type='FCOSHead',
        num_classes=8,
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        strides=[8, 16, 32],
        norm_cfg=None,
    )
    model.test_cfg.score_thr = 0.05


def yolov3(model: ConfigDict) -> None:
    model.type = 'YOLOV3'
    model.neck = dict(
        type='YOLOV3Neck',
        num_scales=3,
        in_channels=[40, 28, 12],
        out_channels=[16] * 3,
    )
    model.bbox_head = dict(
        type='YOLOV3Head',
        num_classes=8,
        in_channels=[16] * 3,
        out_channels=[16] * 3,
        anchor_generator=dict(
            type='YOLOAnchorGenerator',
            base_sizes=[
                [(60, 50), (80, 99)],
                [(30, 31), (40, 20)],
                [(10, 13), (16, 9)],
            ],
            strides=[32, 16, 8],
        ),
        bbox_coder=dict(type='YOLOBBoxCoder'),
        featmap_strides=[32, 16, 8],
    )
    model.train_cfg = None
    model.test_cfg = dict(
        nms_pre=100,
        min_bbox_size=0,
        score_thr=0.05,
        conf_thr=0.005,
        nms=dict(type='nms', iou_threshold=0.45),
        max_per_img=10,
    )


def faster_rcnn(model: ConfigDict) -> None:
    model.type = 'FasterRCNN'
    model.pop('bbox_head')
    model.rpn_head = dict(
        type='RPNHead',
        in_channels=16,
        feat_channels=16,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0], strides=[8, 16, 32]
        ),
        bbox_coder=BOXES,
        loss_bbox=dict(type='L1Loss'),
    )
    model.roi_head = dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            out_channels=16,
            featmap_strides=[8, 16, 32],
            finest_scale=14,  # the boxes of 96 px come from every level
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
        ),
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            in_channels=16,
            fc_out_channels=32,
            roi_feat_size=7,
            num_classes=8,
            reg_class_agnostic=False,
            bbox_coder=dict(BOXES, target_stds=[0.1] * 4),
        ),
    )
    model.train_cfg = None
    model.test_cfg = dict(
        rpn=dict(
            nms_pre=60,
            max_per_img=40,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            score_thr=0.02,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=10,
            mask_thr_binary=0.5,
        ),
    )


def mask_rcnn(model: ConfigDict) -> None:
    faster_rcnn(model)
    model.type = 'MaskRCNN'
    model.roi_head.mask_roi_extractor = dict(
        model.roi_head.bbox_roi_extractor,
        roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2),
    )
    model.roi_head.mask_head = dict(
        type='FCNMaskHead',
        num_convs=1,
        in_channels=16,
        conv_out_channels=16,
        num_classes=8,
    )


TOYS = {
    'classifier': ('classification', lambda model: None),
    'segmentor': ('segmentation', lambda model: None),
    'retinanet': ('detection', retinanet),
    'fcos': ('detection', fcos),
    'yolov3': ('detection', yolov3),
    'faster-rcnn': ('detection', faster_rcnn),
    'mask-rcnn': ('detection', mask_rcnn),
}


def export_onnx(cfg: Config, checkpoint: str, out: object, **options: object) -> Export:
    """Export to one ONNX file."""
    (export,) = export_files(cfg, checkpoint, ['onnx'], str(out), **options)
    return export


class Exported(NamedTuple):
    """A toy, its weights and its file."""

    cfg: Config
    checkpoint: str
    export: Export


def build_toy(folder: Path, kind: str, data: Path) -> Config:
    """Return the config of one of ``TOYS``, with the batch norms that folding folds."""
    task, change = TOYS[kind]
    cfg = load_config(write_config(folder, task, data))
    cfg.model.backbone.norm_cfg = dict(type='BN')
    change(cfg.model)
    return cfg


def save_random(cfg: Config, path: Path) -> str:
    """Save random weights under which scores and boxes differ from place to place.

    Every layer is scaled to give numbers of the order of 1, those of the heads smaller
    ones. Otherwise scores are almost 0 or 1, and equal ones may come in any order.
    """
    scope = scope_of(cfg)
    init_default_scope(scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    scaled = set()

    def scale(name: str, module: nn.Module, output: Tensor) -> Tensor | None:
        if name in scaled:  # a head runs once for each level
            return None
        scaled.add(name)
        small = any(part in name for part in HEADS)
        factor = (0.2 if small else 1.0) / output.std()
        for parameter in module.parameters():
            parameter.data *= factor
        return output * factor

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
            module.register_forward_hook(
                lambda module, _, output, name=name: scale(name, module, output)
            )
    samples = None
    if scope == 'mmdet':
        from mmdet.structures import DetDataSample

        shape = dict(img_shape=(96, 96), batch_input_shape=(96, 96))
        samples = [DetDataSample(metainfo=dict(shape, scale_factor=(1.0, 1.0)))]
    with torch.no_grad():
        model(noise(1, 96, 96), samples, mode='tensor')
    meta = dict(classes=CLASSES, palette=[[9, 9, 9 * i] for i in range(8)])
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta)), path)
    return str(path)


@pytest.fixture(scope='session')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few Shapes, larger than what the toys resize them to, under noise.

    On their even backgrounds scores would be equal from place to place.
    """
    folder = tmp_path_factory.mktemp('shapes')
    make_shapes(folder, train=2, val=4, size=150, progress=False)
    generator = np.random.default_rng(0)
    for path in folder.rglob('*.jpg'):
        pixels = np.asarray(Image.open(path).convert('RGB'))
        grain = generator.integers(0, 128, pixels.shape, dtype=np.uint8)
        Image.fromarray(pixels // 2 + grain).save(path, quality=95)
    return folder


@pytest.fixture(scope='session')
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Return a function that gives config and weights of one of ``TOYS``."""
    known = {}

    def get(kind: str) -> tuple[Config, str]:
        if kind not in known:
            folder = tmp_path_factory.mktemp(kind)
            cfg = build_toy(folder, kind, data)
            known[kind] = cfg, save_random(cfg, folder / 'random.pth')
        return known[kind]

    return get


@pytest.fixture(scope='session')
def toy(prepared: Callable, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Return a function that gives one of ``TOYS``, exported."""
    known = {}

    def get(kind: str) -> Exported:
        if kind not in known:
            path = tmp_path_factory.mktemp('exported') / f'{kind}.onnx'
            known[kind] = Exported(*prepared(kind), export_onnx(*prepared(kind), path))
        return known[kind]

    return get
