"""The RetinaNet configs: what they derive, and that they learn a step."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
COCO = sorted(path.name for path in CONFIGS.glob('detection/retinanet_*coco.py'))
ALL = [f'detection/{name}' for name in COCO] + [
    'detection/retinanet_ghostnetv2-1.0_shapes.py',
    'retinanet_ghostnetv2_coco.py',
]


def build(name: str, train_from_scratch: bool = True):
    cfg = Config.fromfile(CONFIGS / name)
    if train_from_scratch:
        cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        return cfg, MODELS.build(cfg.model)


def test_the_widths_and_the_baseline_are_there():
    assert COCO == [
        'retinanet_ghostnetv1-1.1_fpn_1x_coco.py',
        'retinanet_ghostnetv2-1.0_fpn_1x_coco.py',
        'retinanet_ghostnetv2-1.3_fpn_1x_coco.py',
        'retinanet_ghostnetv2-1.6_fpn_1x_coco.py',
    ]


@pytest.mark.parametrize('name', ALL)
def test_neck_and_anchors_are_those_of_the_backbone(name):
    cfg, model = build(name)
    assert tuple(cfg.model.neck.in_channels) == model.backbone.out_channels
    levels = model.neck(model.backbone(torch.zeros(1, 3, 256, 384)))
    strides = model.bbox_head.prior_generator.strides
    assert [(256 / x.shape[2], 384 / x.shape[3]) for x in levels] == [
        (stride[1], stride[0]) for stride in strides
    ]


@pytest.mark.parametrize('name', ALL)
def test_every_parameter_that_is_not_frozen_gets_a_gradient(name):
    from mmdet.structures import DetDataSample

    _, model = build(name)
    model.train()
    sample = DetDataSample(metainfo=dict(img_shape=(128, 128), pad_shape=(128, 128)))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 60, 70]]), labels=torch.tensor([3])
    )
    torch.manual_seed(0)
    losses = model.loss(torch.randn(1, 3, 128, 128), [sample])
    loss, _ = model.parse_losses(losses)
    loss.backward()
    for parameter_name, parameter in model.named_parameters():
        has = parameter.grad is not None
        assert has == parameter.requires_grad, parameter_name
    assert torch.isfinite(loss)


def test_the_coco_configs_are_the_1x_recipe_of_mmdet():
    import mmdet

    theirs = Config.fromfile(
        Path(mmdet.__file__).parent
        / '.mim/configs/retinanet/retinanet_r50_fpn_1x_coco.py'
    )
    for name in COCO:
        ours = Config.fromfile(CONFIGS / 'detection' / name)
        for key in (
            'train_cfg',
            'param_scheduler',
            'optim_wrapper',
            'auto_scale_lr',
            'train_pipeline',
            'test_pipeline',
            'train_dataloader',
            'val_dataloader',
            'test_dataloader',
            'val_evaluator',
            'test_evaluator',
        ):
            assert ours[key] == theirs[key], (name, key)
        for part in ('data_preprocessor', 'bbox_head', 'train_cfg', 'test_cfg'):
            assert ours.model[part] == theirs.model[part], (name, part)
        assert ours.model.neck | dict(in_channels=0) == theirs.model.neck | dict(
            in_channels=0
        )
        # As there, stem and stride-4 stage are frozen, and statistics are kept.
        assert ours.model.backbone.norm_eval is theirs.model.backbone.norm_eval is True
        assert ours.model.backbone.frozen_stages == 2


def test_frozen_is_what_lies_before_stride_8():
    _, model = build('retinanet_ghostnetv2_coco.py')
    frozen = {
        '.'.join(name.split('.')[:3])
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad
    }
    assert frozen == {
        'backbone.conv_stem.weight',
        'backbone.bn1.weight',
        'backbone.bn1.bias',
        'backbone.blocks.0',
        'backbone.blocks.1',
        'backbone.blocks.2',
    }


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('ghostnetv2-1.0', 'ck_ghostnetv2_10.pth.tar'),
        ('ghostnetv2-1.3', 'ck_ghostnetv2_13.pth.tar'),
        ('ghostnetv2-1.6', 'ck_ghostnetv2_16.pth.tar'),
    ],
)
def test_the_weights_asked_for_are_those_of_the_release(name, file):
    cfg = Config.fromfile(CONFIGS / f'detection/retinanet_{name}_fpn_1x_coco.py')
    # The links of the authors' README (ghostnetv2_pytorch).
    assert cfg.model.backbone.init_cfg.checkpoint == (
        'https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/'
        f'GhostNetV2/{file}'
    )


def test_the_short_name_is_the_same_config():
    short = Config.fromfile(CONFIGS / 'retinanet_ghostnetv2_coco.py')
    long = Config.fromfile(
        CONFIGS / 'detection/retinanet_ghostnetv2-1.0_fpn_1x_coco.py'
    )
    assert short.to_dict() == long.to_dict()


@pytest.mark.parametrize('name', ALL)
def test_every_config_brings_mmghost_and_the_preflight_check(name):
    cfg = Config.fromfile(CONFIGS / name)
    assert cfg.custom_imports == dict(imports=['mmghost'], allow_failed_imports=False)
    assert cfg.default_hooks.preflight.type == 'mmghost.PreflightHook'


@pytest.mark.parametrize('name', ALL)
def test_every_config_says_first_what_it_is(name):
    assert (CONFIGS / name).read_text().startswith('# ')


@pytest.mark.parametrize('path', sorted((CONFIGS / '_base_').rglob('*.py')), ids=str)
def test_every_base_stands_on_its_own(path):
    text = path.read_text()
    assert '_base_ =' not in text
    assert '::' not in text
    Config.fromfile(path, import_custom_modules=False)
