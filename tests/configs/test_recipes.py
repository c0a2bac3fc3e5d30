"""Configs are the recipes that they name, with the numbers of the papers."""

import math
import re
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from mmengine.structures import InstanceData
from timm.loss import LabelSmoothingCrossEntropy

from dev import ledger
from mmghost.analysis import complexity
from mmghost.models import GhostNetV3
from tests.configs.names import ALIASES, CONFIGS, EVERY, LONG, data_of, load, parse
from tests.helpers import image, randomize

RELEASE = (
    'https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNet'
)
DETECTION = [name for name in LONG if name.startswith('detection/')]
SCHEDULE = (
    'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator',
    'train_cfg', 'param_scheduler', 'auto_scale_lr',
)  # fmt: skip
RECIPE = 'classification/ghostnetv2-1.0_8xb128_in1k.py'


def load_zoo(toolbox: str, name: str) -> Config:
    """Load a config of a toolbox."""
    package = Path(__import__(toolbox).__file__).parent
    return Config.fromfile(package / '.mim/configs' / f'{name}.py')


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


def test_short_names_are_the_long_configs():
    stems = {
        'deeplabv3_ghostnetv2_ade20k': 'segmentation/ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_'
        'ade20k-512x512',
        'ghostnetv2_imagenet': 'classification/ghostnetv2-1.0_8xb128_in1k',
        'mask-rcnn_ghostnetv2_coco': 'detection/mask-rcnn_ghostnetv2-1.0_fpn_1x_coco',
        'retinanet_ghostnetv2_coco': 'detection/retinanet_ghostnetv2-1.0_fpn_1x_coco',
        'yolov3_ghostnetv2_coco': 'detection/yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco',
    }
    assert {f'{alias}.py' for alias in stems} == set(ALIASES)
    for alias, stem in stems.items():
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
    if re.search(r'ghostnetv2-1\.0.*(coco|ade20k|cityscapes)', name):
        lines = header.partition("# GhostNetV3's weights (docs/weights.md):\n")[2]
        options = re.findall(r'model\.\S+', lines.partition('# Numbers')[0])
        held = cfg.model.backbone.get('norm_eval')  # then its branches can be folded
        file = 'model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k'
        assert options == ['model.backbone.type=GhostNetV3'] * (not held) + [file]


@pytest.mark.parametrize('name', EVERY)
def test_released_weights_are_those_of_version_and_width(name):
    cfg = load(name)
    backbone = cfg.model.backbone
    if backbone.type not in ('GhostNetV2', 'GhostNetV3') or 'mindspore' in name:
        return
    wanted = f'{RELEASE}V2/ck_ghostnetv2_{round(backbone.widen_factor * 10)}.pth.tar'
    if 'ghostnetv3' in name:
        wanted = f'{RELEASE}V3/ghostnetv3-1.0.pth.tar'
        assert backbone.type == f'GhostNetV{2 if backbone.get("norm_eval") else 3}'
    init = backbone.get('init_cfg') or {}
    files = {cfg.get('load_from'), init.get('checkpoint')} - {None}
    needed = re.search('coco|ade20k|cityscapes|finetune', name)
    assert files == {wanted} if needed else files <= {wanted}


# Detection: inherited from mmdet but for the backbone, so what is ours is checked.


@pytest.mark.parametrize('detector', ['retinanet', 'faster-rcnn', 'mask-rcnn'])
def test_1x_configs_are_those_of_mmdet_with_another_backbone(detector):
    folder = detector.replace('-', '_')
    theirs = load_zoo('mmdet', f'{folder}/{detector}_r50_fpn_1x_coco')
    names = [n for n in DETECTION if re.search(rf'/{detector}_.*1x_coco', n)]
    assert len(names) >= 4
    for name in names:
        ours = load(name)
        for key in SCHEDULE:
            assert without(ours[key]) == without(theirs[key]), key
        for part in set(theirs.model) - {'backbone', 'neck'}:
            assert without(ours.model[part]) == without(theirs.model[part]), part
        assert ours.model.backbone.norm_eval
        optimizer = ours.optim_wrapper.optimizer
        if 'adamw' not in name:
            assert ours.model.backbone.frozen_stages == 2
            assert without(ours.optim_wrapper) == without(theirs.optim_wrapper)
            continue
        # As LSNet and RepViT train.
        assert ours.model.backbone.frozen_stages == -1
        assert (optimizer.type, optimizer.weight_decay) == ('AdamW', 0.05)
        assert optimizer.lr == (1e-4 if detector == 'retinanet' else 2e-4)


@pytest.mark.parametrize('size', ['320', 'ms-416'])
def test_yolov3_is_mmdets_for_mobilenetv2_whose_ap_the_paper_quotes(size):
    ours = load(f'detection/yolov3_ghostnetv2-1.0_8xb24-{size}-300e_coco.py')
    theirs = load_zoo('mmdet', f'yolo/yolov3_mobilenetv2_8xb24-{size}-300e_coco')
    for key in (*SCHEDULE, 'optim_wrapper'):
        assert without(ours[key]) == without(theirs[key]), key
    for key in set(theirs.model) - {'backbone'}:
        assert without(ours.model[key], 'in_channels') == without(
            theirs.model[key], 'in_channels'
        ), key
    # DDP need not look for unused layers: there are none.
    assert not ours.find_unused_parameters


@pytest.mark.slow  # loading and folding by themselves: tests/weights
def test_v3_folded_into_the_v2_of_a_retinanet_has_the_losses_of_its_branches(tmp_path):
    v3 = randomize(GhostNetV3())
    for name, weight in v3.named_parameters():
        if re.search('convs|scale|skip', name) and weight.ndim == 1:
            weight.data *= 0.45  # four or five branches are added
    torch.save(v3.state_dict(), tmp_path / 'v3.pth')
    cfg = load('detection/retinanet_ghostnetv3-1.0_fpn_1x_coco.py')
    cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / 'v3.pth')
    cfg.optim_wrapper.optimizer.lr *= cfg.param_scheduler[0].start_factor
    boxes = torch.tensor([[10.0, 10.0, 60.0, 50.0]])
    objects = InstanceData(bboxes=boxes, labels=torch.tensor([7]))
    shapes = dict.fromkeys(('img_shape', 'pad_shape', 'batch_input_shape'), (96, 96))
    sample = DetDataSample(gt_instances=objects, metainfo=shapes)
    losses, rest = [], {}
    for kind in ('GhostNetV2', 'GhostNetV3'):
        cfg.model.backbone.type = kind
        with DefaultScope.overwrite_default_scope('mmdet'):
            model = MODELS.build(cfg.model)
        model.init_weights()
        model.load_state_dict(rest, strict=False)
        rest = {n: p.clone() for n, p in model.state_dict().items() if 'backb' not in n}
        wrapper = build_optim_wrapper(model.train(), cfg.optim_wrapper)
        for _ in range(2):
            loss, _ = model.parse_losses(model.loss(image(1, 3, 96, 96), [sample]))
            wrapper.update_params(loss)
            losses.append(loss.item())
    # Folded weights are rounded once more, and a step of the warmup is small.
    assert losses[:2] == pytest.approx(losses[2:], rel=1e-4)
    assert losses[0] != losses[1]


def test_the_model_bases_for_custom_data_are_the_models_of_the_recipes():
    for detector, name in (
        ('yolov3', 'yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco'),
        ('rtmdet', 'rtmdet_ghostnetv2-1.0_8xb32-300e_coco'),
    ):
        base = load(f'_base_/models/{detector}_ghostnetv2.py')
        assert without(base.model) == without(load(f'detection/{name}.py').model)


def test_mobilenetv2_costs_what_ledger_and_headers_say():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            load_zoo('mmpretrain', 'mobilenet_v2/mobilenet-v2_8xb32_in1k').model
        )
    tables = {table['key']: table for table in ledger.read()['tables']}
    for size, macs in ((320, 612), (416, 1034)):
        counted = complexity(model, (size, size))
        assert round(counted.macs / 1e6) == macs
        assert tables[f'yolov3-{size}']['rows'][0]['cost']['network'] == [*counted]


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
    theirs = load_zoo('mmseg', f'mobilenet_v2/{theirs}')
    theirs.optim_wrapper.pop('clip_grad', None)  # None, which --cfg-options cannot fill
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


def test_semantic_fpn_is_mmsegs_model_by_the_recipe_of_light_backbones():
    ours = load('segmentation/ghostnetv2-1.0_fpn_4xb4-80k_ade20k-512x512.py')
    theirs = load_zoo('mmseg', 'sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512').model
    for part in ('neck', 'decode_head'):
        varying = ('in_channels', 'norm_cfg')
        assert without(ours.model[part], *varying) == without(theirs[part], *varying)
    assert ours.optim_wrapper.optimizer == dict(
        type='AdamW', lr=1e-4, weight_decay=1e-4
    )
    assert ours.model.backbone.norm_eval and 'frozen_stages' not in ours.model.backbone


def plain(cfg):
    if isinstance(cfg, dict):
        drop = ('reduce_zero_label', 'backend_args')
        return {k: plain(v) for k, v in cfg.items() if k not in drop}
    return [plain(v) for v in cfg] if isinstance(cfg, list | tuple) else cfg


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
    ('first', 'others', 'part', 'key'),
    [
        ('detection/retinanet_ghostnetv2-1.0_bccd-320.py',
         ['timm-ghostnetv2-1.0', 'ghostnetv1-1.1', 'mobilenet-v2'],
         'neck', 'in_channels'),
        ('segmentation/ghostnetv2-1.0-d16_deeplabv3plus_camvid-224x224.py',
         ['ghostnetv1-1.1-d16', 'mobilenet-v2-d16'],
         'decode_head', 'in_channels c1_in_channels'),
        ('segmentation/ghostnetv2-1.0-d32_deeplabv3plus_camvid-224x224.py',
         ['timm-ghostnetv2-1.0-d32'], 'decode_head', 'in_channels'),
        ('classification/ghostnetv2-1.0_tiny-imagenet-100.py',
         ['ghostnetv1-1.1', 'mobilenet-v3-large'], 'head', 'in_channels act_cfg'),
    ],
)  # fmt: skip
def test_compared_configs_differ_in_their_backbones_alone(first, others, part, key):
    ours = re.search(r'ghostnetv2-1\.0(-d\d+)?', first)[0]
    rests = []
    for other in (ours, *others):
        cfg = load(first.replace(ours, other)).to_dict()
        cfg['model'].pop('backbone')
        for name in key.split():
            cfg['model'][part].pop(name)
        rests.append(cfg)
    assert all(rest == rests[0] for rest in rests)


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
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=5e-4)
    schedulers = []
    for settings in load('classification/ghostnetv2-1.0_finetune.py').param_scheduler:
        build = PARAM_SCHEDULERS.get(settings.pop('type')).build_iter_from_epoch
        assert settings.pop('convert_to_iter_based')
        settings.setdefault('end', epochs)  # so does the runner
        schedulers.append(build(optimizer, epoch_length=7, **settings))
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
