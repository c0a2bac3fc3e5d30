"""The classification configs: the authors' recipe, and what derives from it."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from timm.loss import LabelSmoothingCrossEntropy

from tests.helpers import of_the_tree

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAMES = [path.stem for path in of_the_tree(CONFIGS.glob('classification/*.py'))]
RECIPE = [name for name in NAMES if name.endswith('_in1k') and 'mindspore' not in name]
FINETUNE = [name for name in NAMES if name.endswith('_finetune')]
SIGN_DIGITS = [name for name in NAMES if name.endswith('_sign-digits')]


def load(name: str) -> Config:
    return Config.fromfile(CONFIGS / 'classification' / f'{name}.py')


def build(cfg: Config) -> torch.nn.Module:
    torch.manual_seed(0)
    preprocessor = cfg.get('data_preprocessor')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(cfg.model, data_preprocessor=preprocessor))


def test_widths_baselines_and_the_single_gpu_are_there():
    assert RECIPE == [
        'ghostnetv1-1.0_8xb128_in1k',
        'ghostnetv1-1.1_8xb128_in1k',
        'ghostnetv1-1.3_8xb128_in1k',
        'ghostnetv2-1.0_1xb128-accum8_in1k',
        'ghostnetv2-1.0_8xb128_in1k',
        'ghostnetv2-1.3_8xb128_in1k',
        'ghostnetv2-1.6_8xb128_in1k',
    ]
    assert len(FINETUNE) == 3 and len(SIGN_DIGITS) >= 2


@pytest.mark.parametrize('name', RECIPE + FINETUNE[:1] + SIGN_DIGITS[:1])
def test_network_and_head_fit_and_learn_a_step(name):
    from mmpretrain.structures import DataSample

    cfg = load(name)
    if name not in SIGN_DIGITS:
        network = name.split('_')[0]
        version, width = network.removesuffix('-accum8').split('-')
        assert cfg.model.backbone.type.lower() == version
        assert cfg.model.backbone.widen_factor == float(width)
    model = build(cfg).train()
    assert model.backbone.out_channels == (cfg.model.head.in_channels,)
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    batch = dict(
        inputs=torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        data_samples=samples,
    )
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    losses['loss'].backward()
    assert torch.isfinite(losses['loss'])
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('name', RECIPE)
def test_all_widths_and_versions_get_the_one_recipe(name):
    first, other = load('ghostnetv2-1.0_8xb128_in1k'), load(name)
    different = {key for key in first if first[key] != other[key]}
    if 'accum8' in name:
        assert different == {'optim_wrapper', 'custom_hooks', 'auto_scale_lr'}
    else:
        assert different <= {'model'}
    model = other.model.to_dict()
    assert model['head'].pop('in_channels') in (960, 1056, 1248, 1536)
    assert model['backbone'].pop('type') in ('GhostNetV1', 'GhostNetV2')
    model['backbone'].pop('widen_factor')
    reference = first.model.to_dict()
    reference['head'].pop('in_channels')
    for key in ('type', 'widen_factor'):
        reference['backbone'].pop(key)
    assert model == reference


def test_batches_workers_epochs_and_files_are_those_of_the_flags():
    cfg = load('ghostnetv2-1.0_8xb128_in1k')
    loader = cfg.train_dataloader
    assert loader.batch_size == 128 and loader.num_workers == 7  # -b 128 -j 7
    assert loader.drop_last and loader.sampler.shuffle  # as timm's loader
    assert cfg.train_cfg.max_epochs == 450
    assert cfg.auto_scale_lr.base_batch_size == 8 * 128
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.interval, checkpoint.max_keep_ckpts) == (1, 10)  # timm's saver
    assert checkpoint.save_best == 'accuracy/top1'
    assert cfg.val_evaluator.topk == (1, 5)
    assert cfg.model.head.dropout_rate == 0.2  # --drop
    assert cfg.custom_hooks[0].momentum == pytest.approx(1 - 0.9999)


def test_the_loss_is_timms_label_smoothing():
    cfg = load('ghostnetv2-1.0_8xb128_in1k')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        ours = MODELS.build(cfg.model.head.loss)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(16, 1000, generator=generator) * 5
    labels = torch.randint(1000, (16,), generator=generator)
    torch.testing.assert_close(
        ours(logits, labels), LabelSmoothingCrossEntropy(smoothing=0.1)(logits, labels)
    )


def test_training_starts_from_pytorchs_own_random_weights():
    """As the release, which initialises nothing by itself."""
    model = build(load('ghostnetv2-1.0_8xb128_in1k'))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.init_weights()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    # Uniform within sqrt(1 / fan_in), for the 1x1 convolution that the 1280 layer is in
    # the release as for the linear layer that it is here.
    weight = model.head.layers[0].fc.weight
    largest = weight.detach().abs().max().item()
    assert largest == pytest.approx(960**-0.5, rel=1e-3)


def test_the_short_name_is_the_same_config():
    short = Config.fromfile(CONFIGS / 'ghostnetv2_imagenet.py')
    assert short.to_dict() == load('ghostnetv2-1.0_8xb128_in1k').to_dict()


@pytest.mark.parametrize('name', NAMES)
def test_every_config_brings_mmghost_the_preflight_check_and_says_what_it_is(name):
    cfg = load(name)
    assert 'mmghost' in cfg.custom_imports.imports
    assert cfg.custom_imports.allow_failed_imports is False
    assert cfg.default_hooks.preflight.type == 'mmghost.PreflightHook'
    assert (CONFIGS / 'classification' / f'{name}.py').read_text().startswith('# ')


def test_fine_tuning_starts_from_the_weights_of_its_width():
    for name in FINETUNE:
        cfg = load(name)
        digits = str(cfg.model.backbone.widen_factor).replace('.', '')
        assert cfg.load_from.endswith(f'/GhostNetV2/ck_ghostnetv2_{digits}.pth.tar')
        channels = cfg.model.head.in_channels
        assert channels == round(960 * cfg.model.backbone.widen_factor)


def test_sign_digits_compares_backbones_under_the_same_budget():
    ours = load('ghostnetv2-1.0_sign-digits').to_dict()
    theirs = load('mobilenet-v3-large_sign-digits').to_dict()
    for cfg in (ours, theirs):
        cfg['model'].pop('backbone')
        cfg['model']['head'].pop('act_cfg')
    assert ours == theirs
    finetune = load('ghostnetv2-1.0_finetune')
    assert finetune.param_scheduler == ours['param_scheduler']
    assert (
        finetune.optim_wrapper.paramwise_cfg == ours['optim_wrapper']['paramwise_cfg']
    )


@pytest.mark.parametrize('epochs', [30, 10])
def test_the_cosine_ends_with_the_training_however_long_it_is(epochs):
    """What mmengine's runner makes of the schedule, without a runner."""
    from mmengine.registry import PARAM_SCHEDULERS

    cfg = load('ghostnetv2-1.0_finetune')
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=5e-4)
    schedulers = []
    for settings in cfg.param_scheduler:
        cls = PARAM_SCHEDULERS.get(settings.pop('type'))
        assert settings.pop('convert_to_iter_based')
        settings.setdefault('end', epochs)  # so does the runner
        built = cls.build_iter_from_epoch(optimizer, epoch_length=7, **settings)
        schedulers.append(built)
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
