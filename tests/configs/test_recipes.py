"""Configs are the recipes that they name, with the numbers of the papers."""

import math
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from timm.loss import LabelSmoothingCrossEntropy

from mmghost.analysis import complexity
from tests.configs.names import ALIASES, CONFIGS, EVERY, LONG, data_of, load, parse

RELEASE = (
    'https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/'
    'GhostNetV2/ck_ghostnetv2_'
)
DETECTION = [name for name in LONG if name.startswith('detection/')]
RECIPE = 'classification/ghostnetv2-1.0_8xb128_in1k.py'
NUCLEI = 'deeplabv3plus_nuclei-semseg-128x128.py'


def without(cfg: dict, *keys: str) -> dict:
    """Return a config without keys, and without the scopes that `mmdet::` adds."""
    if isinstance(cfg, dict):
        left = {k: v for k, v in cfg.items() if k not in (*keys, '_scope_')}
        return {k: without(v) for k, v in left.items()}
    if isinstance(cfg, list | tuple):
        return [without(value) for value in cfg]
    return cfg


# Names, and what all have.


@pytest.mark.parametrize('name', LONG)
def test_the_name_says_what_the_config_does(name):
    parts, cfg = parse(name), load(name)
    backbone = cfg.model.backbone
    if 'width' in parts and 'widen_factor' in backbone:
        assert backbone.widen_factor == float(parts['width'])
    if 'ghostnetv1' in name:
        assert backbone.type == 'GhostNetV1'
    if 'stride' in parts:
        stride = backbone.get('output_stride', 32)
        if 'strides' in backbone:  # the MobileNetV2 of mmseg, whose stem has stride 2
            stride = 2 * math.prod(backbone.strides)
        assert stride == int(parts['stride'])
    if 'batch' in parts:
        assert cfg.train_dataloader.batch_size == int(parts['batch'])
        if 'accum' not in name:
            whole = int(parts['gpus']) * int(parts['batch'])
            assert cfg.auto_scale_lr.base_batch_size == whole
    if 'epochs' in parts:
        times = cfg.train_dataloader.dataset.get('times', 1)
        assert cfg.train_cfg.max_epochs * times == int(parts['epochs'])
    if 'iterations' in parts:
        assert cfg.train_cfg.max_iters == 1000 * int(parts['iterations'])
    resize = [step for step in cfg.test_pipeline if step.type == 'Resize']
    for key in ('input', 'size'):
        if key in parts and name in DETECTION:
            assert resize[0]['scale'] == (int(parts[key]), int(parts[key]))
    if 'size' in parts and name.startswith('segmentation'):
        height, width = map(int, parts['size'].split('x'))
        assert tuple(cfg.model.data_preprocessor.size) == (height, width)
    known = {
        'coco': 'data/coco/', 'ade20k': 'data/ade/ADEChallengeData2016',
        'in1k': 'data/imagenet', 'cityscapes': 'data/cityscapes/',
        'shapes': 'data/shapes', 'bccd': 'data/bccd/', 'nuclei': 'data/nuclei/',
    }  # fmt: skip
    root = data_of(cfg.test_dataloader)['data_root']
    assert root.startswith(known.get(parts['data'], 'data/'))


@pytest.mark.parametrize(
    ('alias', 'stem'),
    [
        ('deeplabv3_ghostnetv2_ade20k',
         'segmentation/ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512'),
        ('ghostnetv2_imagenet', 'classification/ghostnetv2-1.0_8xb128_in1k'),
        ('mask-rcnn_ghostnetv2_coco',
         'detection/mask-rcnn_ghostnetv2-1.0_fpn_1x_coco'),
        ('retinanet_ghostnetv2_coco',
         'detection/retinanet_ghostnetv2-1.0_fpn_1x_coco'),
        ('yolov3_ghostnetv2_coco',
         'detection/yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco'),
    ],
)  # fmt: skip
def test_short_names_are_the_long_configs(alias, stem):
    assert f'{alias}.py' in ALIASES and len(ALIASES) == 5
    assert load(f'{alias}.py').to_dict() == load(f'{stem}.py').to_dict()


@pytest.mark.parametrize('name', EVERY)
def test_every_config_says_what_it_is_and_brings_mmghost_and_its_checks(name):
    cfg = load(name)
    assert cfg.custom_imports.imports[0] == 'mmghost'
    assert cfg.custom_imports.allow_failed_imports is False
    for hook in ('Preflight', 'Finite', 'Interrupt'):
        assert cfg.default_hooks[hook.lower()].type == f'mmghost.{hook}Hook'
    assert cfg.default_hooks.exact_resume.type == 'mmghost.ExactResumeHook'
    text = (CONFIGS / name).read_text()
    header = text[: text.index('_base_ =')]
    assert header.startswith('# ')
    assert 'Numbers:' in header or 'see ' in header or name in ALIASES


@pytest.mark.parametrize('name', EVERY)
def test_released_weights_are_those_of_the_width(name):
    cfg = load(name)
    width = str(cfg.model.backbone.get('widen_factor')).replace('.', '')
    if cfg.model.backbone.type == 'GhostNetV2' and 'mindspore' not in name:
        init = cfg.model.backbone.get('init_cfg') or {}
        for file in (cfg.get('load_from'), init.get('checkpoint')):
            assert file is None or file == f'{RELEASE}{width}.pth.tar'


# Detection: inherited from mmdet but for the backbone, so what is ours is checked.


@pytest.mark.parametrize('name', [name for name in DETECTION if 'timm' not in name])
def test_the_neck_reads_the_channels_of_the_backbone(name):
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        channels = MODELS.build(cfg.model.backbone).out_channels
    if cfg.model.neck.type == 'YOLOV3Neck':  # the deepest comes first
        channels = channels[::-1]
    assert tuple(cfg.model.neck.in_channels) == channels


@pytest.mark.parametrize('detector', ['retinanet', 'faster-rcnn', 'mask-rcnn'])
def test_1x_configs_are_those_of_mmdet_with_frozen_stages_and_statistics(detector):
    for width in ('v1-1.1', 'v2-1.0', 'v2-1.3', 'v2-1.6'):
        cfg = load(f'detection/{detector}_ghostnet{width}_fpn_1x_coco.py')
        backbone = cfg.model.backbone
        assert (backbone.frozen_stages, backbone.norm_eval) == (2, True)
        assert cfg.optim_wrapper.optimizer.lr == (
            0.01 if detector == 'retinanet' else 0.02
        )
        assert cfg.train_cfg.max_epochs == 12
        assert cfg.auto_scale_lr.base_batch_size == 16
        metrics = ['bbox', 'segm'] if detector == 'mask-rcnn' else 'bbox'
        assert cfg.val_evaluator.metric == metrics


def test_yolov3_has_the_numbers_of_the_paper():
    # The recipe of mmdet's yolov3_mobilenetv2, whose AP the paper quotes.
    cfg = load('yolov3_ghostnetv2_coco.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ('SGD', 0.003)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 5e-4)
    assert cfg.optim_wrapper.clip_grad.max_norm == 35
    warmup, steps = cfg.param_scheduler
    assert (warmup.type, warmup.start_factor, warmup.end) == ('LinearLR', 1e-4, 4000)
    assert (steps.milestones, steps.gamma) == ([24, 28], 0.1)
    assert cfg.model.neck.out_channels == [96, 96, 96]
    assert cfg.model.neck.in_channels == [160, 112, 40]
    test = cfg.model.test_cfg
    assert (test.nms.iou_threshold, test.score_thr, test.conf_thr) == (0.45, 0.05, 5e-3)
    steps = {step.type: step for step in cfg.train_pipeline}
    assert steps['RandomResize'].scale == [(320, 320), (416, 416)]
    assert cfg.model.bbox_head.anchor_generator.base_sizes == [
        [(116, 90), (156, 198), (373, 326)],
        [(30, 61), (62, 45), (59, 119)],
        [(10, 13), (16, 30), (33, 23)],
    ]
    small = load('detection/yolov3_ghostnetv2-1.0_8xb24-320-300e_coco.py')
    assert small.model.bbox_head.anchor_generator.base_sizes == [
        [(220, 125), (128, 222), (264, 266)],
        [(35, 87), (102, 96), (60, 170)],
        [(10, 15), (24, 36), (72, 42)],
    ]
    theirs = Config.fromfile(
        zoo('mmdet', 'yolo/yolov3_mobilenetv2_8xb24-320-300e_coco')
    )
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert without(small[key]) == without(theirs[key])
    # DDP need not look for unused layers: there are none.
    assert not cfg.find_unused_parameters


def zoo(toolbox: str, name: str) -> Path:
    package = Path(__import__(toolbox).__file__).parent
    return package / '.mim/configs' / f'{name}.py'


def test_the_model_bases_for_custom_data_are_the_models_of_the_recipes():
    for detector, name in (
        ('yolov3', 'yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco'),
        ('rtmdet', 'rtmdet_ghostnetv2-1.0_8xb32-300e_coco'),
    ):
        base = load(f'_base_/models/{detector}_ghostnetv2.py')
        assert without(base.model) == without(load(f'detection/{name}.py').model)


# M multiply-accumulates of the whole classifier at the input sizes of YOLOv3, as counted
# from the released code: the paper's table and the headers of the configs quote them.
@pytest.mark.parametrize(
    ('backbone', 'channels', 'macs'),
    [
        (dict(type='GhostNetV2'), 960, {224: 167.0, 320: 341.1, 416: 569.6}),
        (dict(type='GhostNetV1', widen_factor=1.1), 1056, {320: 336, 416: 565}),
        (None, 0, {320: 612, 416: 1034}),
    ],
    ids=['ghostnetv2-1.0', 'ghostnetv1-1.1', 'mobilenet-v2'],
)
def test_the_costs_in_the_headers_are_counted(backbone, channels, macs):
    if backbone is None:
        theirs = Config.fromfile(
            zoo('mmpretrain', 'mobilenet_v2/mobilenet-v2_8xb32_in1k')
        )
        model = theirs.model
    else:
        model = load('_base_/models/ghostnetv2_classifier.py').model
        model.backbone.update(backbone)
        model.head.in_channels = channels
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(model)
    for size, expected in macs.items():
        counted = complexity(model, (size, size)).macs / 1e6
        assert round(counted, 0 if isinstance(expected, int) else 1) == expected


# Segmentation: the bases are ours, because `mmseg::` does not resolve on both stacks.


@pytest.mark.parametrize(
    ('name', 'theirs'),
    [
        (name, re.sub(r'ghostnetv\d-\d\.\d-d\d+', 'mobilenet-v2-d8', Path(name).stem))
        for name in LONG
        if re.search(r'deeplabv3(plus)?_4xb', name)
    ],
)
def test_deeplab_recipes_are_those_of_mmseg_for_mobilenetv2(name, theirs):
    ours = load(name)
    theirs = Config.fromfile(zoo('mmseg', f'mobilenet_v2/{theirs}'))
    for key in ('train_cfg', 'param_scheduler', 'optim_wrapper', 'val_evaluator'):
        assert ours[key] == theirs[key], key
    # Ours leave out what is the default: files on disk, and the zero label, which the
    # dataset reduces by itself.
    for key in (
        'train_dataloader',
        'val_dataloader',
        'test_dataloader',
        'tta_pipeline',
    ):
        assert plain(ours[key]) == plain(theirs[key]), key
    varying = ('norm_cfg', 'in_channels', 'dilations', 'c1_in_channels')
    for head in ('decode_head', 'auxiliary_head'):
        assert without(ours.model[head], *varying) == without(
            theirs.model[head], *varying
        )
    # SyncBN where there are several processes; theirs is SyncBN everywhere.
    assert ours.sync_bn == 'torch'
    assert ours.model.data_preprocessor == dict(theirs.model.data_preprocessor)
    interval = theirs.default_hooks.checkpoint.interval
    assert ours.default_hooks.checkpoint.interval == interval
    # ASPP reaches equally far at every output stride: 12, 24, 36 at stride 8.
    stride = ours.model.backbone.output_stride
    dilations = ours.model.decode_head.dilations
    assert [d * stride for d in dilations[1:]] == [96, 192, 288]


def plain(cfg):
    if isinstance(cfg, dict):
        drop = ('reduce_zero_label', 'backend_args')
        return {k: plain(v) for k, v in cfg.items() if k not in drop}
    return [plain(v) for v in cfg] if isinstance(cfg, list | tuple) else cfg


def test_segmentation_heads_read_stages_3_and_4_and_lraspp_the_last_one():
    for model in (load(name).model for name in LONG if 'ade20k' in name):
        stages = model.backbone.out_indices
        if model.decode_head.type == 'GlobalLRASPPHead':
            assert stages == (1, 2, 5)
        else:
            assert stages[model.decode_head.in_index] == 4
            assert stages[model.auxiliary_head.in_index] == 3


def test_lraspp_is_mmsegs_where_the_window_is_the_map_and_serves_smaller_maps():
    from mmseg.models.decode_heads import LRASPPHead

    cfg = load('segmentation/ghostnetv2-1.0-d16_lraspp_4xb4-160k_ade20k-512x512.py')
    arguments = {k: v for k, v in cfg.model.decode_head.items() if k != 'type'}
    with DefaultScope.overwrite_default_scope('mmseg'):
        head = MODELS.build(cfg.model.decode_head).eval()
    reference = LRASPPHead(**arguments).eval()
    reference.load_state_dict(head.state_dict())
    with torch.no_grad():
        maps = [torch.randn(1, c, 49, 49) for c in (24, 40, 960)]
        torch.testing.assert_close(head(maps), reference(maps))
        small = [torch.randn(1, c, s, s) for c, s in ((24, 12), (40, 6), (960, 3))]
        assert head(small).shape == (1, 150, 12, 12)


# Comparisons: one budget and seed for all backbones.


@pytest.mark.parametrize(
    ('first', 'others', 'parts'),
    [
        (
            f'segmentation/ghostnetv2-1.0-d16_{NUCLEI}',
            [
                f'segmentation/{n}_{NUCLEI}'
                for n in ('ghostnetv2-1.0-d32', 'mobilenet-v2-d16',
                          'timm-ghostnetv2-1.0-d32')
            ],
            ('decode_head', 'in_channels'),
        ),
        (
            'classification/ghostnetv2-1.0_sign-digits.py',
            ['classification/mobilenet-v3-large_sign-digits.py'],
            ('head', 'act_cfg'),
        ),
        (
            'detection/retinanet_ghostnetv2-1.0_bccd-320.py',
            ['detection/retinanet_timm-ghostnetv2-1.0_bccd-320.py'],
            ('neck', 'in_channels'),
        ),
    ],
)  # fmt: skip
def test_compared_configs_differ_in_their_backbones_alone(first, others, parts):
    def rest(name: str) -> dict:
        cfg = load(name).to_dict()
        cfg['model'].pop('backbone')
        cfg['model'][parts[0]].pop(parts[1])
        return cfg

    for name in others:
        assert rest(name) == rest(first)


# ImageNet and fine-tuning.


def test_batches_epochs_and_files_are_those_of_the_release():
    cfg = load(RECIPE)
    loader = cfg.train_dataloader
    assert (loader.batch_size, loader.num_workers) == (128, 7)  # -b 128 -j 7
    assert loader.drop_last and loader.sampler.shuffle  # as the loader of timm
    assert cfg.train_cfg.max_epochs == 450
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.interval, checkpoint.max_keep_ckpts) == (1, 10)
    assert checkpoint.save_best == 'accuracy/top1'
    assert cfg.model.head.dropout_rate == 0.2  # --drop
    assert cfg.custom_hooks[0].momentum == pytest.approx(1 - 0.9999)


def test_all_widths_and_versions_have_one_recipe():
    first = load(RECIPE)
    names = [n for n in LONG if n.endswith('_in1k.py') and 'mindspore' not in n]
    assert len(names) == 7
    for name in names:
        other = load(name)
        different = {key for key in first if first[key] != other.get(key)}
        if 'accum8' not in name:
            assert different <= {'model'}
            continue
        assert different == {'optim_wrapper', 'custom_hooks', 'auto_scale_lr'}
        assert other.optim_wrapper.accumulative_counts == 8
        assert other.custom_hooks[0].interval == 8
        assert other.auto_scale_lr.base_batch_size == 1024 // 8
    for name in names:
        with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
            backbone = MODELS.build(load(name).model.backbone)
        assert backbone.out_channels == (load(name).model.head.in_channels,)


def test_the_loss_is_timms_label_smoothing():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        ours = MODELS.build(load(RECIPE).model.head.loss)
    logits, labels = torch.randn(16, 1000) * 5, torch.randint(1000, (16,))
    theirs = LabelSmoothingCrossEntropy(smoothing=0.1)
    torch.testing.assert_close(ours(logits, labels), theirs(logits, labels))


def test_training_starts_from_the_initial_weights_of_pytorch():
    """Like the release, which initializes nothing by itself."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(load(RECIPE).model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.init_weights()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    # Uniform within sqrt(1 / fan_in), for the linear layer here as for the 1x1
    # convolution that the release has in its place.
    largest = model.head.layers[0].fc.weight.detach().abs().max().item()
    assert largest == pytest.approx(960**-0.5, rel=1e-3)


@pytest.mark.parametrize('epochs', [30, 10])
def test_the_cosine_of_fine_tuning_ends_with_the_training(epochs):
    cfg = load('classification/ghostnetv2-1.0_finetune.py')
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=5e-4)
    schedulers = []
    for settings in cfg.param_scheduler:
        cls = PARAM_SCHEDULERS.get(settings.pop('type'))
        assert settings.pop('convert_to_iter_based')
        settings.setdefault('end', epochs)  # so does the runner
        schedulers.append(
            cls.build_iter_from_epoch(optimizer, epoch_length=7, **settings)
        )
    values = []
    for _ in range(7 * epochs):
        values.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert values[0] == pytest.approx(5e-6)
    assert max(values) == values[14] == pytest.approx(5e-4)
    assert values[-1] == pytest.approx(5e-6, rel=0.2)
    assert values[14:] == sorted(values[14:], reverse=True)
