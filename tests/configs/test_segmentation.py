"""The segmentation configs: what they derive, and that they learn a step."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
ADE = sorted(path.stem for path in CONFIGS.glob('segmentation/*ade20k*.py'))
CITYSCAPES = 'ghostnetv2-1.0-d8_deeplabv3_4xb2-80k_cityscapes-512x1024'
NUCLEI = 'deeplabv3plus_nuclei-semseg-128x128'
OURS = [
    *ADE,
    CITYSCAPES,
    'ghostnetv2-1.0-d16_deeplabv3plus_shapes',
    f'ghostnetv2-1.0-d16_{NUCLEI}',
    f'ghostnetv2-1.0-d32_{NUCLEI}',
]
PEERS = [f'mobilenet-v2-d16_{NUCLEI}', f'timm-ghostnetv2-1.0-d32_{NUCLEI}']
RECIPE = '4xb4-160k_ade20k-512x512'


def load(name: str) -> Config:
    return Config.fromfile(CONFIGS / 'segmentation' / f'{name}.py')


def build(name: str):
    cfg = load(name)
    if 'init_cfg' in cfg.model.backbone:
        cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return cfg, MODELS.build(cfg.model)


def zoo(name: str) -> Config:
    import mmseg

    return Config.fromfile(
        Path(mmseg.__file__).parent / '.mim/configs/mobilenet_v2' / f'{name}.py'
    )


def test_strides_widths_heads_and_the_baseline_are_there():
    assert [
        f'ghostnetv1-1.1-d8_deeplabv3_{RECIPE}',
        f'ghostnetv2-1.0-d16_deeplabv3_{RECIPE}',
        f'ghostnetv2-1.0-d16_deeplabv3plus_{RECIPE}',
        f'ghostnetv2-1.0-d16_lraspp_{RECIPE}',
        f'ghostnetv2-1.0-d32_deeplabv3_{RECIPE}',
        f'ghostnetv2-1.0-d8_deeplabv3_{RECIPE}',
        f'ghostnetv2-1.0-d8_deeplabv3plus_{RECIPE}',
        f'ghostnetv2-1.3-d8_deeplabv3_{RECIPE}',
        f'ghostnetv2-1.6-d8_deeplabv3_{RECIPE}',
    ] == ADE


@pytest.mark.parametrize('name', OURS + PEERS)
def test_heads_and_backbone_fit_and_every_parameter_gets_a_gradient(name):
    from mmseg.structures import SegDataSample

    cfg, model = build(name)
    model.train()
    side = 64
    sample = SegDataSample(metainfo=dict(img_shape=(side, side)))
    labels = torch.arange(side * side).view(1, side, side)
    sample.gt_sem_seg = PixelData(data=labels % cfg.model.decode_head.num_classes)
    losses = model.loss(torch.randn(2, 3, side, side), [sample, sample])
    loss, _ = model.parse_losses(losses)
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert without == []
    assert torch.isfinite(loss)


@pytest.mark.parametrize('name', OURS)
def test_the_name_tells_output_stride_and_width(name):
    backbone = load(name).model.backbone
    network, stride = name.removeprefix('nuclei_').split('_')[0].rsplit('-d', 1)
    assert network == f'{backbone.type.lower()}-{backbone.widen_factor}'
    assert int(stride) == backbone.output_stride


@pytest.mark.parametrize('name', ADE)
def test_main_head_reads_the_last_stage_and_auxiliary_head_stage_3(name):
    _, model = build(name)
    backbone, main = model.backbone, model.decode_head
    if name.split('_')[1] == 'lraspp':
        assert backbone.out_indices[-1] == 5
        assert tuple(main.in_channels) == backbone.out_channels
        return
    assert backbone.out_indices[main.in_index] == 4
    assert main.in_channels == backbone.out_channels[main.in_index]
    auxiliary = model.auxiliary_head
    assert backbone.out_indices[auxiliary.in_index] == 3
    assert auxiliary.in_channels == backbone.out_channels[auxiliary.in_index]


def test_aspp_reaches_as_far_at_every_output_stride():
    reaches = {
        tuple(d * cfg.model.backbone.output_stride for d in dilations[1:])
        for cfg in map(load, [*ADE, CITYSCAPES])
        if (dilations := cfg.model.decode_head.get('dilations'))
    }
    assert reaches == {(96, 192, 288)}  # px: DeepLabV3's 12, 24, 36 at stride 8


@pytest.mark.parametrize(
    ('ours', 'theirs'),
    [
        *(
            (name, f'mobilenet-v2-d8_deeplabv3_{RECIPE}')
            for name in ADE
            if 'v3_' in name
        ),
        *(
            (name, f'mobilenet-v2-d8_deeplabv3plus_{RECIPE}')
            for name in ADE
            if 'plus' in name
        ),
        (CITYSCAPES, 'mobilenet-v2-d8_deeplabv3_4xb2-80k_cityscapes-512x1024'),
    ],
)
def test_the_recipe_is_the_zoos_for_mobilenetv2(ours, theirs):
    ours, theirs = load(ours), zoo(theirs)
    for key in ('train_cfg', 'param_scheduler', 'optim_wrapper', 'val_evaluator'):
        assert ours[key] == theirs[key], key
    # Files are read from the disk unless said otherwise, and reducing the zero label is
    # told to the data set alone.
    for pipeline in (*ours_pipelines(theirs), theirs.tta_pipeline):
        plain(pipeline)
    for key in (
        'train_dataloader',
        'val_dataloader',
        'test_dataloader',
        'tta_pipeline',
    ):
        assert ours[key] == theirs[key], key
    model = {
        key: dict(value) for key, value in ours.model.items() if key.endswith('head')
    }
    for key, head in model.items():
        other = dict(theirs.model[key])
        # SyncBN through sync_bn, where there are several processes.
        assert (head.pop('norm_cfg').type, other.pop('norm_cfg').type) == (
            'BN',
            'SyncBN',
        )
        for name in ('in_channels', 'dilations', 'c1_in_channels'):
            assert (name in head) == (name in other)
            head.pop(name, None), other.pop(name, None)
        assert head == other, key
    assert ours.sync_bn == 'torch'
    preprocessor = dict(theirs.model.data_preprocessor)
    assert ours.model.data_preprocessor == preprocessor
    assert ours.model.test_cfg == theirs.model.test_cfg
    interval = theirs.default_hooks.checkpoint.interval
    assert ours.default_hooks.checkpoint.interval == interval


def ours_pipelines(cfg: Config) -> list:
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    return [loader.dataset.pipeline for loader in loaders]


def plain(pipeline: list) -> None:
    for step in pipeline:
        if step.type == 'TestTimeAug':
            for choices in step.transforms:
                plain(choices)
        step.pop('reduce_zero_label', None)
        step.pop('backend_args', None)


@pytest.mark.parametrize(
    ('width', 'file'),
    [
        ('1.0', 'ck_ghostnetv2_10.pth.tar'),
        ('1.3', 'ck_ghostnetv2_13.pth.tar'),
        ('1.6', 'ck_ghostnetv2_16.pth.tar'),
    ],
)
def test_the_weights_asked_for_are_those_of_the_release(width, file):
    backbone = load(f'ghostnetv2-{width}-d8_deeplabv3_{RECIPE}').model.backbone
    # The links of the authors' README (ghostnetv2_pytorch).
    assert backbone.init_cfg.checkpoint == (
        'https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/'
        f'GhostNetV2/{file}'
    )


def test_the_short_name_is_the_same_config():
    short = Config.fromfile(CONFIGS / 'deeplabv3_ghostnetv2_ade20k.py')
    assert short.to_dict() == load(f'ghostnetv2-1.0-d8_deeplabv3_{RECIPE}').to_dict()


def test_one_process_keeps_bn_and_several_get_syncbn():
    """What mmengine's runner does with ``sync_bn``, without starting processes."""
    from mmengine.model import convert_sync_batchnorm, revert_sync_batchnorm
    from torch.nn import BatchNorm2d, SyncBatchNorm

    cfg, model = build(f'ghostnetv2-1.0-d8_deeplabv3_{RECIPE}')
    count = sum(type(m) is BatchNorm2d for m in model.modules())
    assert count > 100
    model = convert_sync_batchnorm(model, cfg.sync_bn)
    assert sum(type(m) is SyncBatchNorm for m in model.modules()) == count
    model = revert_sync_batchnorm(model)
    assert not any(type(m) is SyncBatchNorm for m in model.modules())


@pytest.mark.parametrize('side', [40, 96])
def test_lraspp_serves_maps_smaller_than_mmsegs_window(side):
    _, model = build(f'ghostnetv2-1.0-d16_lraspp_{RECIPE}')
    with torch.no_grad():
        logits = model.eval()(torch.zeros(1, 3, side, side), mode='tensor')
    assert logits.shape == (1, 150, side // 4, side // 4)


def test_lraspp_is_mmsegs_where_mmsegs_window_is_the_whole_map():
    from mmseg.models.decode_heads import LRASPPHead

    cfg, model = build(f'ghostnetv2-1.0-d16_lraspp_{RECIPE}')
    head = model.decode_head.eval()
    arguments = {k: v for k, v in cfg.model.decode_head.items() if k != 'type'}
    reference = LRASPPHead(**arguments).eval()
    reference.load_state_dict(head.state_dict())
    maps = [torch.randn(1, c, 49, 49) for c in (24, 40, 960)]
    with torch.no_grad():
        torch.testing.assert_close(head(maps), reference(maps))


@pytest.mark.parametrize('name', OURS + PEERS)
def test_every_config_brings_mmghost_the_preflight_check_and_says_what_it_is(name):
    cfg = load(name)
    assert 'mmghost' in cfg.custom_imports.imports
    assert cfg.custom_imports.allow_failed_imports is False
    assert cfg.default_hooks.preflight.type == 'mmghost.PreflightHook'
    assert (CONFIGS / 'segmentation' / f'{name}.py').read_text().startswith('# ')


def test_the_nuclei_configs_differ_in_their_backbones_alone():
    first = load(f'ghostnetv2-1.0-d16_{NUCLEI}').to_dict()
    first['model'].pop('backbone')
    first['model']['decode_head'].pop('in_channels')
    for name in (f'ghostnetv2-1.0-d32_{NUCLEI}', *PEERS):
        other = load(name).to_dict()
        other['model'].pop('backbone')
        other['model']['decode_head'].pop('in_channels')
        assert other == first, name


def test_the_config_for_ones_own_data_in_the_guide_finds_nothing_to_mend(tmp_path):
    import numpy as np
    from PIL import Image

    from mmghost.checks.preflight import preflight

    guide = (CONFIGS.parent / 'docs/finetune.md').read_text()
    text = guide.split('## Segmentation')[1].split('```python\n')[1].split('```')[0]
    text = text.replace("'./segmentation", f"'{CONFIGS}/segmentation")
    (tmp_path / 'mine.py').write_text(text.replace('data/mine', f'{tmp_path}/mine'))
    for split in ('train', 'val'):
        for folder, suffix in (('img_dir', 'jpg'), ('ann_dir', 'png')):
            path = tmp_path / 'mine' / folder / split / f'a.{suffix}'
            path.parent.mkdir(parents=True)
            Image.fromarray(np.eye(40, dtype=np.uint8)).save(path)
    cfg = Config.fromfile(tmp_path / 'mine.py')
    assert cfg.test_dataloader == cfg.val_dataloader
    cfg.model.backbone.init_cfg = None
    assert preflight(cfg, ['train', 'val', 'test']) == []
    cfg.model.decode_head.num_classes = 150
    (problem,) = preflight(cfg, ['train'])
    assert 'is 150, the data set has 2 classes' in problem.what
    with DefaultScope.overwrite_default_scope('mmseg'):
        assert MODELS.build(cfg.model).decode_head.num_classes == 150
