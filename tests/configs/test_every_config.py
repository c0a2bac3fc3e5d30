"""Every config: its name says what it does, and its model learns a step."""

import math
import re

import pytest
import torch
from mmengine.config import Config

from tests.configs.small_batches import CONFIGS, losses_on_small_pictures
from tests.helpers import of_the_tree

EVERY = [
    path.relative_to(CONFIGS).as_posix() for path in of_the_tree(CONFIGS.rglob('*.py'))
]
ALIASES = [name for name in EVERY if '/' not in name]
LONG = [name for name in EVERY if '/' in name]

# OpenMMLab's rule: {model}_{modules}_{training}_{data}, words of a part joined by hyphens;
# mmdet names the detector first, mmseg and mmpretrain the backbone.
BACKBONE = r'(?:timm-)?[a-z]+(?:-v\d|v\d)?(?:-[a-z]+)?(?:-(?P<width>\d\.\d))?(?:-d(?P<stride>8|16|32))?'
DETECTOR = r'(?P<model>retinanet|faster-rcnn|mask-rcnn|yolov3|ssdlite|rtmdet)'
SEGMENTOR = r'(?P<model>deeplabv3plus|deeplabv3|lraspp)'
BATCH = r'(?P<gpus>\d+)xb(?P<batch>\d+)'
DATA = r'(?P<data>[a-z0-9]+(?:-[a-z]+)*)(?:-(?P<size>\d+(?:x\d+)?))?'
RULES = {
    'detection': rf'{DETECTOR}_{BACKBONE}(?:_fpn|_light)?(?:_(?P<schedule>1x)|_{BATCH}(?:-ms)?(?:-(?P<input>\d+))?-(?P<epochs>\d+)e)?_{DATA}',
    'segmentation': rf'{BACKBONE}_{SEGMENTOR}(?:_{BATCH}-(?P<iterations>\d+)k)?_{DATA}',
    'classification': rf'{BACKBONE}(?:-mindspore)?(?:_{BATCH}(?:-[a-z0-9]+)*)?_{DATA}',
}
RULES['ablation'] = RULES['classification']
# One of each kind; the others are wider, dilated, or push 512 boxes through 256 channels.
QUICK = {
    'detection/retinanet_ghostnetv1-1.1_fpn_1x_coco.py',
    'detection/yolov3_ghostnetv1-1.1_8xb24-320-300e_coco.py',
    'segmentation/ghostnetv2-1.0-d16_lraspp_4xb4-160k_ade20k-512x512.py',
    'classification/ghostnetv2-1.0_8xb128_in1k.py',
}


def parse(name: str) -> dict[str, str]:
    folder, stem = name.removesuffix('.py').split('/')
    assert folder in RULES, f'no rule for the folder {folder}'
    found = re.fullmatch(RULES[folder], stem)
    assert found, f'{name} does not follow OpenMMLab: {RULES[folder]}'
    return {key: value for key, value in found.groupdict().items() if value}


def innermost(dataset: dict) -> tuple[dict, int]:
    """The data set inside RepeatDataset, and how often it is repeated."""
    times = 1
    while 'dataset' in dataset:
        times *= dataset.get('times', 1)
        dataset = dataset['dataset']
    return dataset, times


@pytest.mark.parametrize('name', LONG)
def test_the_name_says_what_the_config_does(name):
    parts = parse(name)
    cfg = Config.fromfile(CONFIGS / name)
    backbone = cfg.model.backbone
    if 'width' in parts and 'widen_factor' in backbone:
        assert backbone.widen_factor == float(parts['width'])
    if 'ghostnetv1' in name:
        assert backbone.type == 'GhostNetV1'
    if 'stride' in parts:
        stride = backbone.get('output_stride', 32)
        if 'strides' in backbone:  # mmseg's MobileNetV2, whose stem has a stride of 2
            stride = 2 * math.prod(backbone.strides)
        assert stride == int(parts['stride'])
    if 'batch' in parts and 'train_dataloader' in cfg:
        loader = cfg.train_dataloader
        assert loader.batch_size == int(parts['batch'])
        if 'accum' not in name:
            whole = int(parts['gpus']) * int(parts['batch'])
            assert cfg.auto_scale_lr.base_batch_size == whole
    if 'epochs' in parts:
        _, times = innermost(cfg.train_dataloader.dataset)
        assert cfg.train_cfg.max_epochs * times == int(parts['epochs'])
    if 'iterations' in parts:
        assert cfg.train_cfg.max_iters == 1000 * int(parts['iterations'])
    if parts.get('schedule') == '1x':
        assert cfg.train_cfg.max_epochs == 12
    sizes = [
        step['scale']
        for step in cfg.get('test_pipeline', [])
        if step['type'] in ('Resize', 'ResizeEdge')
    ]
    for key in ('input', 'size'):
        if key in parts and name.startswith('detection'):
            assert sizes == [(int(parts[key]), int(parts[key]))]
    if 'size' in parts and name.startswith('segmentation'):
        height, width = map(int, parts['size'].split('x'))
        assert tuple(cfg.model.data_preprocessor.size) == (height, width)
    known = {
        'coco': 'data/coco/', 'ade20k': 'data/ade/ADEChallengeData2016',
        'in1k': 'data/imagenet', 'cityscapes': 'data/cityscapes/',
        'shapes': 'data/shapes', 'bccd': 'data/bccd/', 'nuclei': 'data/nuclei/',
    }  # fmt: skip
    if parts['data'] in known:
        root = innermost(cfg.test_dataloader.dataset)[0]['data_root']
        assert root.startswith(known[parts['data']])


@pytest.mark.parametrize('name', ALIASES)
def test_short_names_are_detector_backbone_and_data(name):
    assert re.fullmatch(r'([a-z0-9-]+_)?ghostnetv2_(coco|ade20k|imagenet)\.py', name)
    path = CONFIGS / name
    (base,) = re.findall(r"^_base_ = '\./(.+)'$", path.read_text(), re.MULTILINE)
    assert Config.fromfile(path).to_dict() == Config.fromfile(CONFIGS / base).to_dict()


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in EVERY
    ],
)
def test_every_config_builds_and_learns_a_step(name):
    model, loss = losses_on_small_pictures(name)
    assert torch.isfinite(loss)
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(gradient is not None for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)
