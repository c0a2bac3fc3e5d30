"""NoisyStepLR gives the lr of timm's scheduler, in every epoch of the recipe."""

import argparse

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS
from timm.scheduler import create_scheduler

from mmghost.engine import NoisyStepLR, NoisyStepMomentum

EPOCHS = 450


def optimizer(lr: float = 0.064) -> torch.optim.Optimizer:
    weight = torch.nn.Parameter(torch.zeros(1))
    return torch.optim.SGD([weight], lr=lr, momentum=0.9)


def timms(epochs: int = EPOCHS, seed: int = 42) -> list[float]:
    """The lr of every epoch from timm's own scheduler, given the authors' flags."""
    flags = argparse.Namespace(
        sched='step',
        epochs=epochs,
        decay_epochs=2.4,
        decay_rate=0.973,
        warmup_lr=1e-6,
        warmup_epochs=3,
        lr_noise=[0.42, 0.9],
        lr_noise_pct=0.67,
        lr_noise_std=1.0,
        seed=seed,
        min_lr=1e-5,
        cooldown_epochs=10,
        patience_epochs=10,
    )
    theirs = optimizer()
    scheduler, _ = create_scheduler(flags, theirs)
    values = []
    for epoch in range(epochs):
        scheduler.step(epoch)
        values.append(theirs.param_groups[0]['lr'])
    return values


def recipe(root) -> dict:
    cfg = Config.fromfile(root / 'configs/_base_/schedules/imagenet_450e.py')
    assert cfg.train_cfg.max_epochs == EPOCHS
    return dict(cfg.param_scheduler)


def course(scheduler, ours, epochs: int) -> list[float]:
    values = []
    for _ in range(epochs):
        values.append(ours.param_groups[0]['lr'])
        ours.step()
        scheduler.step()
    return values


@pytest.mark.parametrize(('epochs', 'seed'), [(EPOCHS, 42), (100, 7)])
def test_the_lr_of_every_epoch_is_timms(root, epochs, seed):
    settings = dict(recipe(root), noise_seed=seed, end=epochs)
    ours = optimizer()
    scheduler = PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=ours))
    values = course(scheduler, ours, epochs)
    assert values == pytest.approx(timms(epochs, seed), rel=1e-12)
    # What the flags promise can be seen in it.
    assert values[0] == 1e-6
    assert values[3] == pytest.approx(0.064 * 0.973)  # the warm-up counts as epochs
    smooth = [0.064 * 0.973 ** (epoch // 2.4) for epoch in range(3, epochs)]
    noisy = [
        epoch
        for epoch, value in enumerate(smooth, 3)
        if values[epoch] != pytest.approx(value)
    ]
    assert noisy[0] == 0.42 * epochs and noisy[-1] == 0.9 * epochs - 1


def test_every_group_keeps_its_own_base_value():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    both = torch.optim.SGD([dict(params=[w]) for w in weights], lr=1.0)
    both.param_groups[1]['lr'] = 0.5
    scheduler = NoisyStepLR(both, decay_epochs=2, decay_rate=0.1)
    course(scheduler, both, 2)
    assert [group['lr'] for group in both.param_groups] == pytest.approx([0.1, 0.05])


def test_resumed_in_the_noise_it_goes_on_with_the_same_lr(root):
    settings = {**recipe(root), 'end': EPOCHS}
    settings.pop('type')
    first = optimizer()
    scheduler = NoisyStepLR(first, **settings)
    course(scheduler, first, 250)
    second = optimizer()
    resumed = NoisyStepLR(second, **settings)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert course(resumed, second, 200) == timms()[250:]


def test_momentum_can_be_scheduled_too():
    ours = optimizer()
    NoisyStepMomentum(ours, decay_epochs=1, decay_rate=0.5).step()
    assert ours.param_groups[0]['momentum'] == 0.45
    assert ours.param_groups[0]['lr'] == 0.064


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(decay_epochs=0), 'decay_epochs=0'),
        (dict(noise_range=(0.5, 0.2), end=10), r'noise_range=\(0.5, 0.2\)'),
        (dict(noise_range=(42, 90), end=100), 'parts of the epochs'),
        (dict(noise_range=(0.1, 0.2)), 'needs end'),
        (dict(noise_range=(0.1, 0.2), end=10, noise_limit=0), 'noise_limit=0'),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    settings = {'decay_epochs': 2.4, 'decay_rate': 0.9, **arguments}
    with pytest.raises(ValueError, match=message):
        NoisyStepLR(optimizer(), **settings)
