"""The detection and instance configs: the toolbox's recipes, and what they derive."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmghost.analysis.complexity import complexity
from tests.configs.small_batches import CONFIGS, build, losses_on_small_pictures
from tests.helpers import of_the_tree

WIDTHS = ['ghostnetv1-1.1', 'ghostnetv2-1.0', 'ghostnetv2-1.3', 'ghostnetv2-1.6']
TWO_STAGE = ('faster-rcnn', 'mask-rcnn')
YOLO = {416: '8xb24-ms-416-300e', 320: '8xb24-320-300e'}
ALL = [
    path.name
    for path in of_the_tree((CONFIGS / 'detection').glob('*.py'))
    if not path.name.startswith('retinanet')  # test_retinanet.py
]
# One of each network; the others are wider or have other data.
NETWORKS = [
    'faster-rcnn_ghostnetv2-1.0_fpn_1x_coco.py',
    'mask-rcnn_ghostnetv2-1.0_fpn_1x_coco.py',
    'mask-rcnn_ghostnetv2-1.0_light_nuclei-256.py',
    'rtmdet_ghostnetv2-1.0_8xb32-300e_coco.py',
    'ssdlite_ghostnetv2-1.0_8xb24-600e_coco.py',
    'yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py',
]


def config(name: str) -> Config:
    return Config.fromfile(CONFIGS / 'detection' / name)


def zoo(name: str) -> Config:
    import mmdet

    return Config.fromfile(Path(mmdet.__file__).parent / '.mim/configs' / name)


def without(cfg: dict, *keys: str) -> dict:
    return {key: value for key, value in cfg.items() if key not in keys}


@pytest.mark.parametrize('detector', [*TWO_STAGE, 'retinanet'])
def test_every_width_and_the_baseline_have_the_1x_recipe(detector):
    for width in WIDTHS:
        assert (CONFIGS / f'detection/{detector}_{width}_fpn_1x_coco.py').is_file()


@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('detector', TWO_STAGE)
def test_two_stage_configs_are_the_1x_recipe_of_mmdet(detector, width):
    ours = config(f'{detector}_{width}_fpn_1x_coco.py')
    theirs = zoo(f'{detector.replace("-", "_")}/{detector}_r50_fpn_1x_coco.py')
    for key in (
        'train_cfg', 'param_scheduler', 'optim_wrapper', 'auto_scale_lr',
        'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator',
        'test_evaluator',
    ):  # fmt: skip
        assert ours[key] == theirs[key], key
    assert without(ours.model, 'backbone', 'neck') == without(
        theirs.model, 'backbone', 'neck'
    )
    assert without(ours.model.neck, 'in_channels') == without(
        theirs.model.neck, 'in_channels'
    )
    # As there, stem and stride-4 stage are frozen, and statistics are kept.
    assert ours.model.backbone.norm_eval is theirs.model.backbone.norm_eval is True
    assert ours.model.backbone.frozen_stages == 2


@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('size', YOLO)
def test_yolov3_configs_are_the_recipe_of_the_zoo(size, width):
    ours = config(f'yolov3_{width}_{YOLO[size]}_coco.py')
    theirs = zoo(f'yolo/yolov3_mobilenetv2_{YOLO[size]}_coco.py')
    for key in (
        'param_scheduler', 'optim_wrapper', 'train_dataloader', 'val_dataloader',
        'test_dataloader', 'val_evaluator', 'test_evaluator',
    ):  # fmt: skip
        assert ours[key] == theirs[key], key
    assert ours.train_cfg == theirs.train_cfg
    assert ours.auto_scale_lr.base_batch_size == theirs.auto_scale_lr.base_batch_size
    assert without(ours.model, 'backbone', 'neck') == without(
        theirs.model, 'backbone', 'neck'
    )
    assert without(ours.model.neck, 'in_channels') == without(
        theirs.model.neck, 'in_channels'
    )


def test_yolov3_has_the_numbers_of_the_paper():
    # 8 x 24 pictures, 30 epochs over ten repeats, SGD, warm-up, steps: the recipe of
    # mmdet's yolov3_mobilenetv2_8xb24-ms-416-300e_coco, whose AP the paper quotes.
    cfg = config('yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py')
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size
    assert cfg.auto_scale_lr.base_batch_size == 192
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ('SGD', 0.003)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 5e-4)
    assert cfg.optim_wrapper.clip_grad.max_norm == 35
    assert cfg.train_cfg.max_epochs == 30
    assert cfg.train_dataloader.dataset.times == 10
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.type, warm_up.start_factor, warm_up.end) == ('LinearLR', 1e-4, 4000)
    assert (steps.milestones, steps.gamma) == ([24, 28], 0.1)
    assert cfg.model.neck.out_channels == [96, 96, 96]
    assert cfg.model.neck.in_channels == [160, 112, 40]
    test = cfg.model.test_cfg
    assert (test.nms.iou_threshold, test.score_thr, test.conf_thr) == (
        0.45,
        0.05,
        0.005,
    )
    assert test.max_per_img == 100
    preprocessor = cfg.model.data_preprocessor
    assert preprocessor.bgr_to_rgb
    assert preprocessor.mean == [123.675, 116.28, 103.53]
    assert preprocessor.std == [58.395, 57.12, 57.375]
    steps = {step.type: step for step in cfg.train_pipeline}
    assert steps['Expand'].ratio_range == (1, 2)
    assert steps['RandomResize'].scale == [(320, 320), (416, 416)]
    assert steps['RandomFlip'].prob == 0.5
    assert {'MinIoURandomCrop', 'PhotoMetricDistortion'} <= set(steps)
    anchors = cfg.model.bbox_head.anchor_generator.base_sizes
    assert anchors == [
        [(116, 90), (156, 198), (373, 326)],
        [(30, 61), (62, 45), (59, 119)],
        [(10, 13), (16, 30), (33, 23)],
    ]
    small = config('yolov3_ghostnetv2-1.0_8xb24-320-300e_coco.py')
    assert small.model.bbox_head.anchor_generator.base_sizes == [
        [(220, 125), (128, 222), (264, 266)],
        [(35, 87), (102, 96), (60, 170)],
        [(10, 15), (24, 36), (72, 42)],
    ]


def test_ssdlite_is_the_recipe_of_the_zoo_from_imagenet_weights():
    ours = config('ssdlite_ghostnetv2-1.0_8xb24-600e_coco.py')
    theirs = zoo('ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py')
    for key in (
        'train_cfg', 'param_scheduler', 'optim_wrapper', 'train_dataloader',
        'val_dataloader', 'test_dataloader', 'custom_hooks',
    ):  # fmt: skip
        assert ours[key] == theirs[key], key
    for part in ('neck', 'bbox_head'):
        assert without(ours.model[part], 'in_channels', 'out_channels') == without(
            theirs.model[part], 'in_channels', 'out_channels'
        )
    for part in ('data_preprocessor', 'train_cfg', 'test_cfg'):
        assert ours.model[part] == theirs.model[part]
    # The zoo taps the last bottlenecks of stride 16 and the last 1x1 convolution.
    assert theirs.model.neck.out_channels[2:] == ours.model.neck.out_channels[2:]
    assert ours.model.backbone.init_cfg.type == 'Pretrained'


def test_rtmdet_is_the_recipe_of_mmdets_tiny_with_rgb_pictures():
    ours = config('rtmdet_ghostnetv2-1.0_8xb32-300e_coco.py')
    theirs = zoo('rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    for key in (
        'train_cfg', 'param_scheduler', 'optim_wrapper', 'train_dataloader',
        'val_dataloader', 'test_dataloader', 'val_evaluator',
    ):  # fmt: skip
        assert ours[key] == theirs[key], key
    assert ours.train_pipeline == theirs.train_pipeline
    # mmdet's last 20 epochs: the epoch of the switch and what stays.
    switch, expected = ours.custom_hooks[1], theirs.custom_hooks[1]
    assert switch == expected
    for part in ('train_cfg', 'test_cfg'):
        assert ours.model[part] == theirs.model[part]
    for part in ('neck', 'bbox_head'):
        left_out = ('in_channels', 'norm_cfg')
        assert without(ours.model[part], *left_out) == without(
            theirs.model[part], *left_out
        )
    assert ours.sync_bn == 'torch'  # where mmdet writes SyncBN into every part
    assert theirs.model.neck.norm_cfg.type == 'SyncBN'
    # mmdet's weights are for BGR, the release's for RGB: the same numbers, turned.
    assert (
        ours.model.data_preprocessor.mean == theirs.model.data_preprocessor.mean[::-1]
    )
    assert ours.model.data_preprocessor.bgr_to_rgb


@pytest.mark.parametrize('name', ALL)
def test_the_neck_reads_what_the_backbone_gives(name):
    cfg = config(name)
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        channels = MODELS.build(cfg.model.backbone).out_channels
    if cfg.model.neck.type == 'YOLOV3Neck':  # the deepest comes first
        channels = channels[::-1]
    assert tuple(cfg.model.neck.in_channels) == channels


@pytest.mark.parametrize('name', NETWORKS)
def test_anchors_lie_at_the_strides_of_their_features(name):
    cfg, model = build(f'detection/{name}')
    model.eval()  # a map of one pixel cannot be normalised in training
    size = 320 if 'ssdlite' in name else 128  # SSD's strides are those of one size
    with torch.no_grad():
        levels = model.neck(model.backbone(torch.zeros(1, 3, size, size)))
    head = model.rpn_head if 'rcnn' in name else model.bbox_head
    strides = [stride[0] for stride in head.prior_generator.strides]
    assert [round(size / level.shape[2]) for level in levels] == strides
    if 'rcnn' in name:
        for part in ('bbox_roi_extractor', 'mask_roi_extractor'):
            extractor = cfg.model.roi_head.get(part)
            assert extractor is None or extractor.featmap_strides == strides[:4]


@pytest.mark.parametrize(
    'name',
    [
        # 512 boxes through 256 channels take long; the light one has the same parts.
        pytest.param(
            name, marks=pytest.mark.slow if 'rcnn' in name and 'coco' in name else ()
        )
        for name in NETWORKS
    ],
)
def test_every_parameter_that_is_not_frozen_gets_a_gradient(name):
    model, loss = losses_on_small_pictures(f'detection/{name}')
    loss.backward()
    assert torch.isfinite(loss)
    lacking = {
        parameter_name
        for parameter_name, parameter in model.named_parameters()
        if (parameter.grad is not None) != parameter.requires_grad
    }
    assert lacking == set()


@pytest.mark.parametrize(('size', 'macs'), [(320, 341.1), (416, 569.6)])
def test_the_classifier_costs_what_the_paper_counts_at_yolov3s_sizes(size, macs):
    # The paper's table on COCO gives the cost of the whole ImageNet network, classifier
    # included; the figures are those counted from the released code.
    cfg = Config.fromfile(CONFIGS / 'classification/ghostnetv2-1.0-mindspore_in1k.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    assert round(complexity(model, (size, size)).macs / 1e6, 1) == macs


@pytest.mark.parametrize('name', ['mask-rcnn', 'yolov3'])
def test_the_short_names_are_the_long_ones(name):
    short = CONFIGS / f'{name}_ghostnetv2_coco.py'
    long = {
        'mask-rcnn': 'mask-rcnn_ghostnetv2-1.0_fpn_1x_coco.py',
        'yolov3': 'yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py',
    }[name]
    assert Config.fromfile(short).to_dict() == config(long).to_dict()
