"""The ImageNet config optimizes, schedules and averages as timm does."""

import argparse
import copy

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler
from timm.utils import ModelEma

from mmghost.recipes import NoisyStepLR, NoisyStepMomentum, TimmEMA

EPOCHS = 450


@pytest.fixture
def built(root) -> tuple[nn.Module, OptimWrapper]:
    """A thin classifier and the optimizer that the ImageNet config gives it."""
    cfg = Config.fromfile(root / 'configs/classification/ghostnetv2-1.0_8xb128_in1k.py')
    cfg.model.backbone.widen_factor = 0.25
    cfg.model.head.update(in_channels=240, num_classes=10)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
        return model, build_optim_wrapper(model, cfg.optim_wrapper)


def take_steps(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for step in range(3):
        torch.manual_seed(step)  # of the dropout, too
        loss = F.cross_entropy(
            model(torch.randn(4, 3, 64, 64)), torch.randint(10, (4,))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_the_optimizer_takes_the_steps_of_timms_train_script(built):
    model, wrapper = built
    reference = copy.deepcopy(model)
    # --opt rmsproptf --opt-eps .001 --lr .064 --weight-decay 1e-5 and the default
    # momentum. timm itself leaves biases and 1-d parameters out of the weight decay.
    theirs = create_optimizer_v2(
        reference, 'rmsproptf', lr=0.064, weight_decay=1e-5, momentum=0.9, eps=1e-3
    )
    start = copy.deepcopy(model.state_dict())
    for network, optimizer in ((model, wrapper.optimizer), (reference, theirs)):
        take_steps(network.train(), optimizer)
    expected = reference.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    weight = 'head.layers.1.fc.weight'
    assert (expected[weight] - start[weight]).abs().max() > 0.01
    # mmengine's own constructor makes a group per parameter.
    assert len(wrapper.optimizer.param_groups) == len(theirs.param_groups) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_training_is_in_32_bit_without_a_gpu(built):
    assert type(built[1]) is OptimWrapper


@pytest.mark.gpu
def test_training_is_in_mixed_precision_with_a_gpu(built):
    assert isinstance(built[1], AmpOptimWrapper)


# The schedule.


def sgd(*values: float) -> torch.optim.Optimizer:
    groups = [dict(params=[nn.Parameter(torch.zeros(1))], lr=v) for v in values]
    return torch.optim.SGD(groups, momentum=0.9)


def timms_values(seed: int = 42) -> list[float]:
    """The lr of every epoch from timm's scheduler, made from the authors' flags."""
    flags = argparse.Namespace(
        sched='step', epochs=EPOCHS, decay_epochs=2.4, decay_rate=0.973,
        warmup_lr=1e-6, warmup_epochs=3, lr_noise=[0.42, 0.9], lr_noise_pct=0.67,
        lr_noise_std=1.0, seed=seed, min_lr=1e-5, cooldown_epochs=10,
        patience_epochs=10,
    )  # fmt: skip
    optimizer = sgd(0.064)
    scheduler, _ = create_scheduler(flags, optimizer)
    values = []
    for epoch in range(EPOCHS):
        scheduler.step(epoch)
        values.append(optimizer.param_groups[0]['lr'])
    return values


def values_of(scheduler, optimizer, epochs: int) -> list[float]:
    values = []
    for _ in range(epochs):
        values.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return values


@pytest.mark.parametrize('seed', [42, 7])
def test_the_lr_of_all_450_epochs_is_timms(root, seed):
    cfg = Config.fromfile(root / 'configs/_base_/schedules/imagenet_450e.py')
    assert cfg.train_cfg.max_epochs == EPOCHS
    settings = dict(cfg.param_scheduler, noise_seed=seed, end=EPOCHS)
    optimizer = sgd(0.064)
    scheduler = PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=optimizer))
    values = values_of(scheduler, optimizer, EPOCHS)
    assert values == timms_values(seed)
    assert values[0] == 1e-6
    assert values[3] == pytest.approx(0.064 * 0.973)  # the warmup counts as epochs
    # Resumed in the middle of the noise.
    other = sgd(0.064)
    resumed = PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=other))
    optimizer = sgd(0.064)
    scheduler = PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=optimizer))
    values_of(scheduler, optimizer, 250)
    other.load_state_dict(optimizer.state_dict())
    state = scheduler.state_dict()
    # Numbers only: a checkpoint must load with weights_only=True.
    assert not any(hasattr(value, '__dict__') for value in state.values())
    resumed.load_state_dict(state)
    assert values_of(resumed, other, 200) == values[250:]


def test_groups_keep_their_own_lr_and_momentum_has_the_same_schedule():
    optimizer = sgd(1.0, 0.5)
    values_of(NoisyStepLR(optimizer, decay_epochs=2, decay_rate=0.1), optimizer, 2)
    assert [g['lr'] for g in optimizer.param_groups] == pytest.approx([0.1, 0.05])
    NoisyStepMomentum(optimizer, decay_epochs=1, decay_rate=0.5).step()
    assert [g['momentum'] for g in optimizer.param_groups] == [0.45, 0.45]


@pytest.mark.parametrize(
    'arguments', [dict(noise_range=(42, 90), end=100), dict(noise_range=(0.1, 0.2))]
)
def test_noise_needs_fractions_of_a_number_of_epochs(arguments):
    with pytest.raises(ValueError, match=r'noise_range=.*fractions'):
        NoisyStepLR(sgd(1.0), decay_epochs=2.4, decay_rate=0.9, **arguments)


# The average of the weights.


@pytest.mark.parametrize('accumulate', [1, 8])
def test_the_average_is_timms_after_every_step(accumulate):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1)
    )
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.5), accumulative_counts=accumulate
    )
    wrapper.initialize_count_status(model, 0, 20 * accumulate)
    # A decay with which 20 steps move the average far.
    average = TimmEMA(model, momentum=0.05, interval=accumulate)
    model[0].reset_parameters()  # as a runner does, after it
    theirs = ModelEma(model, decay=0.95)
    before = model[0].weight.detach().clone()
    for iteration in range(20 * accumulate):
        if iteration == 11:  # a resumed average goes on in the same rhythm
            state = average.state_dict()
            average = TimmEMA(copy.deepcopy(model), momentum=0.05, interval=accumulate)
            average.load_state_dict(state)
        images = torch.randn(8, 3, 6, 6) + iteration / 10
        wrapper.update_params((model(images) - 1).square().mean())
        average.update_parameters(model)
        if (iteration + 1) % accumulate == 0:
            theirs.update(model)
        expected = theirs.ema.state_dict()
        for name, value in average.module.state_dict().items():
            if value.is_floating_point():
                # lerp and the sum of two products round differently.
                torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-7)
    assert (average.module[0].weight - before).abs().max() > 0.01
    assert (average.module[1].running_mean - model[1].running_mean).abs().max() > 0.01
