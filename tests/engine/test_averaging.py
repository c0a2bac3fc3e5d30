"""TimmEMA averages what timm's ModelEma averages."""

import pytest
import torch
import torch.nn as nn
from mmengine.optim import OptimWrapper
from timm.utils import ModelEma

from mmghost.engine import TimmEMA


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1))


def iterate(model: nn.Module, wrapper: OptimWrapper, iteration: int) -> None:
    generator = torch.Generator().manual_seed(iteration)
    pictures = torch.randn(8, 3, 6, 6, generator=generator) + iteration / 10
    wrapper.update_params((model(pictures) - 1).square().mean())


@pytest.mark.parametrize('accumulate', [1, 8])
def test_the_average_is_timms_after_every_step(accumulate):
    model = network()
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.5), accumulative_counts=accumulate
    )
    wrapper.initialize_count_status(model, 0, 40 * accumulate)
    # A decay with which 40 steps move the average far.
    ours = TimmEMA(model, momentum=0.05, interval=accumulate)
    theirs = ModelEma(model, decay=0.95)
    before = model[0].weight.detach().clone()
    for iteration in range(40 * accumulate):
        iterate(model, wrapper, iteration)
        ours.update_parameters(model)
        if (iteration + 1) % accumulate == 0:
            theirs.update(model)
            reference = theirs.ema.state_dict()
            for name, average in ours.module.state_dict().items():
                if not average.is_floating_point():
                    continue  # batch norm's count: timm cuts its average to a whole
                # lerp and the sum of two products round differently.
                torch.testing.assert_close(
                    average, reference[name], rtol=1e-5, atol=1e-7
                )
    assert (ours.module[0].weight - before).abs().max() > 0.01
    assert (ours.module[1].running_mean - model[1].running_mean).abs().max() > 0.01


def test_the_first_step_moves_the_average_by_its_part_only():
    model = network()
    ours = TimmEMA(model, momentum=1e-4)
    before = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight += 1
    ours.update_parameters(model)
    moved = ours.module[0].weight - before
    torch.testing.assert_close(moved, torch.full_like(moved, 1e-4), rtol=0, atol=1e-7)


def test_a_saved_average_goes_on_in_the_same_rhythm():
    model = network()
    ours = TimmEMA(model, momentum=0.5, interval=4)
    for _ in range(3):
        ours.update_parameters(model)
    other = TimmEMA(network(), momentum=0.5, interval=4)
    other.load_state_dict(ours.state_dict())
    with torch.no_grad():
        model[0].weight += 1
    other.update_parameters(model)  # the fourth
    gap = model[0].weight - other.module[0].weight
    torch.testing.assert_close(gap, torch.full_like(gap, 0.5))
