"""Weight decay falls on what timm decays, in two groups; the CPU trains in 32 bit."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from timm.optim import param_groups_weight_decay

from mmghost.engine import RMSpropTF


def build(root, name: str = 'ghostnetv2-1.0_8xb128_in1k'):
    cfg = Config.fromfile(root / f'configs/classification/{name}.py')
    cfg.model.backbone.widen_factor = 0.25
    cfg.model.head.in_channels = 240
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
        return model, build_optim_wrapper(model, cfg.optim_wrapper)


@pytest.mark.parametrize(
    'name', ['ghostnetv2-1.0_8xb128_in1k', 'ghostnetv1-1.0_8xb128_in1k']
)
def test_what_decays_is_what_timm_decays(root, name):
    model, wrapper = build(root, name)
    names = {parameter: name for name, parameter in model.named_parameters()}

    def split(groups):
        return {
            group['weight_decay']: {names[p] for p in group['params']}
            for group in groups
        }

    groups = wrapper.optimizer.param_groups
    theirs = split(param_groups_weight_decay(model, weight_decay=1e-5))
    assert split(groups) == theirs
    assert sorted(theirs) == [0.0, 1e-5] and len(groups) == 2
    assert sum(len(group['params']) for group in groups) == len(names)
    # The cheap operations' and DFC's depthwise kernels decay, the 1280 layer's bias not.
    assert 'head.layers.0.fc.bias' in theirs[0.0]
    assert any('cheap' in name for name in theirs[1e-5])


def test_the_optimizer_has_the_recipes_numbers(root):
    _, wrapper = build(root)
    assert type(wrapper.optimizer) is RMSpropTF
    for group in wrapper.optimizer.param_groups:
        numbers = {k: group[k] for k in ('lr', 'alpha', 'eps', 'momentum')}
        assert numbers == dict(lr=0.064, alpha=0.9, eps=1e-3, momentum=0.9)


@pytest.mark.skipif(torch.cuda.is_available(), reason='is about machines without one')
def test_without_a_gpu_it_is_the_plain_wrapper(root):
    _, wrapper = build(root)
    assert type(wrapper) is OptimWrapper


@pytest.mark.gpu
def test_with_a_gpu_it_is_mixed_precision(root):
    _, wrapper = build(root)
    assert isinstance(wrapper, AmpOptimWrapper)


def test_accumulated_gradients_step_as_one_large_batch_does(root):
    name = 'ghostnetv2-1.0_1xb128-accum8_in1k'
    cfg = Config.fromfile(root / f'configs/classification/{name}.py')
    assert cfg.optim_wrapper.accumulative_counts == 8
    assert cfg.custom_hooks[0].interval == 8
    assert cfg.auto_scale_lr.base_batch_size == 128
    steps = {}
    for accumulate in (1, 8):
        torch.manual_seed(0)
        model = torch.nn.Linear(10, 3)
        settings = dict(cfg.optim_wrapper, accumulative_counts=accumulate)
        wrapper = build_optim_wrapper(model, settings)
        wrapper.initialize_count_status(model, 0, 100)
        for part in torch.randn(32, 10).chunk(accumulate):
            wrapper.update_params(model(part).square().mean())
        steps[accumulate] = model.weight.detach()
    torch.testing.assert_close(steps[1], steps[8])
    assert cfg.train_dataloader.batch_size * 8 == 1024
