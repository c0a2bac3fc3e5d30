"""RMSpropTF takes timm's steps."""

import copy

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from timm.optim import create_optimizer_v2

from mmghost.engine import RMSpropTF

# The authors' flags: --opt rmsproptf --opt-eps .001 --lr .064 --weight-decay 1e-5, and
# the default --momentum 0.9.
RECIPE = dict(lr=0.064, weight_decay=1e-5, momentum=0.9, eps=1e-3)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(288, 5),
    )


def train(model, optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        pictures = torch.randn(16, 3, 8, 8, generator=generator)
        labels = torch.randint(5, (16,), generator=generator)
        for group in optimizer.param_groups:
            group['lr'] = 0.064 * 0.9 ** (step // 10)
        optimizer.zero_grad()
        F.cross_entropy(model(pictures), labels).backward()
        optimizer.step()


@pytest.mark.parametrize('momentum', [0.9, 0.0])
@pytest.mark.parametrize('weight_decay', [1e-5, 0.1])
def test_the_trajectory_is_that_of_timms_rmsproptf(momentum, weight_decay):
    ours, theirs = network(), network()
    settings = dict(RECIPE, momentum=momentum, weight_decay=weight_decay)
    reference = create_optimizer_v2(
        theirs, 'rmsproptf', filter_bias_and_bn=False, **settings
    )
    optimizer = RMSpropTF(ours.parameters(), alpha=0.9, **settings)
    for group in reference.param_groups:
        assert {k: group[k] for k in (*settings, 'alpha')} == dict(settings, alpha=0.9)
        assert not group['centered'] and not group['decoupled_decay']
    start = copy.deepcopy(ours.state_dict())
    train(ours, optimizer, range(60))
    train(theirs, reference, range(60))
    for name, weight in ours.state_dict().items():
        # Two orders of the same float32 sums, over 60 steps.
        torch.testing.assert_close(
            weight, theirs.state_dict()[name], rtol=1e-4, atol=1e-5
        )
    assert (ours[0].weight - start['0.weight']).abs().max() > 0.1
    buffers = 'square_avg', 'momentum_buffer'
    for a, b in zip(ours.parameters(), theirs.parameters()):
        for name in buffers[: 1 + bool(momentum)]:
            torch.testing.assert_close(
                optimizer.state[a][name], reference.state[b][name], rtol=1e-3, atol=1e-5
            )


def test_the_first_step_is_timms_to_the_last_bit():
    ours, theirs = network(), network()
    train(ours, RMSpropTF(ours.parameters(), alpha=0.9, **RECIPE), range(1))
    reference = create_optimizer_v2(
        theirs, 'rmsproptf', filter_bias_and_bn=False, foreach=False, **RECIPE
    )
    train(theirs, reference, range(1))
    for a, b in zip(ours.parameters(), theirs.parameters()):
        assert torch.equal(a, b)


def test_a_saved_state_goes_on_as_if_nothing_had_been():
    whole, parts = network(), network()
    train(whole, RMSpropTF(whole.parameters(), **RECIPE), range(20))
    first = RMSpropTF(parts.parameters(), **RECIPE)
    train(parts, first, range(12))
    second = RMSpropTF(parts.parameters(), lr=1.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(parts, second, range(12, 20))
    for a, b in zip(whole.parameters(), parts.parameters()):
        assert torch.equal(a, b)


def test_parameters_without_gradient_stay():
    model = network()
    before = model[4].bias.clone()
    model[4].bias.requires_grad_(False)
    train(model, RMSpropTF(model.parameters(), **RECIPE), range(3))
    assert torch.equal(model[4].bias, before)


@pytest.mark.parametrize(
    ('name', 'value'), [('lr', -1), ('eps', -1e-3), ('alpha', 1.5), ('momentum', -0.9)]
)
def test_numbers_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=f'{name}={value}'):
        RMSpropTF(network().parameters(), **{name: value})
