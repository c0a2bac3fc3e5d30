"""Run step by step, a network computes what its modules do, and tells who listens."""

import copy

import pytest
import torch
import torch.nn as nn
from torch.nn.utils import parametrizations

import mmghost.models.fused as fused
from mmghost.deploy.fusion import fold
from mmghost.models import (
    DFCAttention,
    GhostModule,
    GhostNetClassifier,
    GhostNetV1,
    GhostNetV2,
    stepping,
)
from tests.helpers import picture, randomise, relative_error

CHANNELS_LAST = torch.channels_last

pytestmark = pytest.mark.skipif(
    fused._is_compiling is None, reason='this torch calls the modules only'
)

NETWORKS = {
    'v2': lambda: GhostNetV2(0.25, out_indices=range(6)),
    'v1': lambda: GhostNetV1(0.25, out_indices=range(6)),
    'odd': lambda: GhostNetV2(0.3, out_indices=range(6)),
    'stride 8': lambda: GhostNetV2(0.25, output_stride=8),
    'others': lambda: GhostNetV2(
        0.25,
        norm_cfg=dict(type='GN', num_groups=1),
        act_cfg=dict(type='HSwish'),
        drop_path_rate=0.2,
        dfc=dict(position='both', upsample='bilinear', downsample='conv'),
    ),
    'classifier': lambda: GhostNetClassifier(0.25, num_classes=7),
}
ORDERS = pytest.mark.parametrize('order', [torch.contiguous_format, CHANNELS_LAST])


def outputs(model, x):
    out = model(x)
    return (out,) if isinstance(out, torch.Tensor) else out


def by_modules(monkeypatch, model, x):
    """Run a network as its modules stand."""
    with monkeypatch.context() as patch:
        for name in ('steps', 'runs_eagerly'):
            patch.setattr(f'mmghost.models.ghostnet.{name}', lambda x: False)
        for module in ('ghost_module', 'fused_conv'):
            patch.setattr(f'mmghost.models.{module}.runs_eagerly', lambda x: False)
        return outputs(model, x)


@ORDERS
@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('deployed', [False, True])
@pytest.mark.parametrize('network', NETWORKS)
@torch.no_grad()
def test_it_computes_what_the_modules_do(monkeypatch, network, deployed, batch, order):
    model = randomise(NETWORKS[network]()).eval()
    if deployed:
        fold(model)
    x = picture(batch, 3, 97, 64).contiguous(memory_format=order)
    ours = outputs(model, x)
    reference = by_modules(monkeypatch, model, x)
    for a, b in zip(ours, reference, strict=True):
        # Sums of up to 960 products, in whatever order two libraries add them.
        assert relative_error(a, b) < 3e-6
        if a.ndim == 4 and b.is_contiguous(memory_format=order):
            assert a.is_contiguous(memory_format=order)


@torch.no_grad()
def test_running_statistics_move_as_ever(monkeypatch):
    stepped = randomise(GhostNetV2(0.25)).train()
    called = copy.deepcopy(stepped)
    x = picture(2, 3, 64, 64)
    stepped(x)
    by_modules(monkeypatch, called, x)
    state = called.state_dict()
    for name, value in stepped.state_dict().items():
        assert relative_error(value.double(), state[name].double()) < 1e-5, name


@torch.no_grad()
def test_whoever_listens_to_a_module_is_told(monkeypatch):
    model = GhostNetClassifier(0.25).eval()

    def listen():
        told, handles = [], []
        for name, module in model.named_modules():
            note = lambda *_, name=name: told.append(name)  # noqa: E731
            handles.append(module.register_forward_hook(note))
        return told, handles

    x = picture(1, 3, 64, 64)
    stepped, handles = listen()
    model(x)
    for handle in handles:
        handle.remove()
    called, handles = listen()
    by_modules(monkeypatch, model, x)
    assert set(stepped) == set(called)
    assert len(called) > 300


@torch.no_grad()
def test_a_hook_for_all_modules_is_told_of_each():
    model, told = GhostNetV2(0.25).eval(), set()
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, *_: told.add(id(module))
    )
    try:
        model(picture(1, 3, 32, 32))
    finally:
        hook.remove()
    inside = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    assert all(id(module) in told for module in inside)


def test_a_backward_hook_for_all_modules_is_told_of_each():
    plain = dict(
        type='ReLU', inplace=False
    )  # such hooks make of maps what bears no other
    model, told = GhostNetV2(0.25, act_cfg=plain).train(), set()
    hook = nn.modules.module.register_module_full_backward_hook(
        lambda module, *_: told.add(id(module))
    )
    try:
        sum(out.sum() for out in model(picture(2, 3, 32, 32))).backward()
    finally:
        hook.remove()
    inside = [m for m in model.modules() if isinstance(m, GhostModule | DFCAttention)]
    assert all(id(module) in told for module in inside)


@torch.no_grad()
def test_layers_that_were_made_into_something_else_are_called(monkeypatch):
    model = randomise(GhostNetV2(0.25)).eval()
    parametrizations.weight_norm(model.blocks[2][0].ghost1.primary_conv[0])

    class Doubled(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    model.blocks[3][0].ghost2.primary_conv[0].__class__ = Doubled
    x = picture(1, 3, 64, 64)
    for a, b in zip(model(x), by_modules(monkeypatch, model, x), strict=True):
        assert relative_error(a, b) < 3e-6


@ORDERS
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(1, 24, 14, 9), (3, 24, 5, 7), (2, 24, 1, 1)])
def test_a_pointwise_convolution_is_a_matrix_product(shape, bias, order):
    conv = nn.Conv2d(24, 10, 1, bias=bias)
    x = picture(*shape).contiguous(memory_format=order)
    with torch.no_grad():
        out = stepping.pointwise(x, conv.weight, conv.bias)
        if out is None:  # several pictures whose channels lie apart
            assert shape[0] > 1
            assert order == torch.contiguous_format
            return
        assert relative_error(out, conv(x)) < 1e-6
        assert out.is_contiguous(memory_format=order)


def test_many_pixels_and_other_types_are_left_to_the_convolution():
    weight = torch.zeros(2, 4, 1, 1)
    many = torch.zeros(2, 4, 64, 64).contiguous(memory_format=CHANNELS_LAST)
    assert stepping.pointwise(many, weight, None) is None
    assert stepping.pointwise(torch.zeros(1, 4, 2, 2).double(), weight, None) is None
    assert stepping.pointwise(torch.zeros(0, 4, 2, 2), weight, None) is None
