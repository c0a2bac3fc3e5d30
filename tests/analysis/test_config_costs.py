"""get_flops.py counts what the released code costs, and what is counted by hand."""

import pytest
from mmengine.config import Config

from mmghost.analysis import complexity, config_cost, default_shape
from mmghost.engine.launch import load_config
from mmghost.errors import UserError
from mmghost.models import GhostNetV2
from tests.engine.toys import ROOT

CONFIGS = ROOT / 'configs'


def test_a_classifier_costs_what_the_papers_network_does():
    cfg = load_config(str(CONFIGS / 'classification/ghostnetv2-1.0_8xb128_in1k.py'))
    cost = config_cost(cfg)
    assert cost.shape == (224, 224)
    assert cost.whole == (6_156_908, 167_048_288)
    assert cost.backbone.macs == cost.whole.macs - 960 * 1280 - 1280 * 1000


def test_a_detector_costs_backbone_and_the_rest_counted_by_hand():
    cfg = load_config(str(CONFIGS / 'retinanet_ghostnetv2_coco.py'))
    cost = config_cost(cfg, (256, 320))
    assert cost.backbone == complexity(GhostNetV2().to('meta'), (256, 320))
    # FPN over strides 8, 16 and 32: a 1x1 and a 3x3 convolution for each; strides 64 and
    # 128 by strided 3x3 ones, from the backbone's last map and from the level before.
    # The head: four 3x3 for classes and for boxes each, then 80 classes and 4 sides of 9
    # anchors.
    pixels = [32 * 40, 16 * 20, 8 * 10, 4 * 5, 2 * 3]
    neck = sum(c * 256 * n for c, n in zip((40, 112, 160), pixels))
    neck += 9 * 256 * (256 * sum(pixels[:3]) + 160 * pixels[3] + 256 * pixels[4])
    head = 9 * 256 * (8 * 256 + 9 * 80 + 9 * 4) * sum(pixels)
    assert cost.whole.macs == cost.backbone.macs + neck + head


def test_a_two_stage_detector_is_counted_with_all_its_proposals():
    path = CONFIGS / 'detection/faster-rcnn_ghostnetv2-1.0_fpn_1x_coco.py'
    cfg = load_config(str(path), {'model.test_cfg.rpn.max_per_img': 10})
    few = config_cost(cfg, (128, 128))
    cfg.model.test_cfg.rpn.max_per_img = 30
    many = config_cost(cfg, (128, 128))
    assert (few.proposals, many.proposals) == (10, 30)
    per_proposal = 256 * 49 * 1024 + 1024 * 1024 + 1024 * (81 + 80 * 4)
    assert many.whole.macs - few.whole.macs == 20 * per_proposal


def test_a_segmentor_needs_no_data():
    path = (
        CONFIGS / 'segmentation/ghostnetv2-1.0-d16_lraspp_4xb4-160k_ade20k-512x512.py'
    )
    cost = config_cost(load_config(str(path)), (64, 64))
    assert cost.whole.macs > cost.backbone.macs > 0


@pytest.mark.parametrize(
    ('pipeline', 'divisor', 'shape'),
    [
        ([dict(type='Resize', scale=(1333, 800), keep_ratio=True)], 32, (800, 1344)),
        ([dict(type='Resize', scale=(416, 416))], None, (416, 416)),
        (
            [
                dict(type='ResizeEdge', scale=256, edge='short'),
                dict(type='CenterCrop', crop_size=224),
            ],
            None,
            (224, 224),
        ),
        ([dict(type='LoadImageFromFile')], None, (800, 1344)),
    ],
)
def test_the_size_is_read_from_the_test_pipeline(pipeline, divisor, shape):
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=dict(data_preprocessor=dict(pad_size_divisor=divisor)),
            test_dataloader=dict(dataset=dict(dataset=dict(pipeline=pipeline))),
        )
    )
    assert default_shape(cfg) == shape


@pytest.mark.parametrize(
    ('size', 'shape'), [((512, 1024), (512, 1024)), (512, (512, 512))]
)
def test_a_segmentors_size_is_that_of_its_training(size, shape):
    model = dict(data_preprocessor=dict(size=size))
    assert default_shape(Config(dict(default_scope='mmseg', model=model))) == shape


def test_a_size_that_the_model_does_not_take_is_named():
    path = CONFIGS / 'classification/ghostnetv2-1.0_8xb128_in1k.py'
    cfg = load_config(str(path), {'model.head.in_channels': 961})
    with pytest.raises(UserError, match='224 x 224'):
        config_cost(cfg)
