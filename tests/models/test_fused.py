"""The operators of fewer passes compute what the plain ones do, and keep less."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.hooks import EMAHook

import mmghost.models.fused as fused
from mmghost.analysis.timing import peak_memory
from mmghost.models import GhostModule, GhostNetV2
from mmghost.models.fused_conv import FusedConv2d, can_fuse
from tests.helpers import picture, randomise, relative_error

CHANNELS_LAST = torch.channels_last

pytestmark = pytest.mark.skipif(
    fused._is_compiling is None, reason='this torch runs the plain operators only'
)


def maps(gate_size=(2, 3), order=CHANNELS_LAST):
    shapes = [(2, 3, 4, 6), (2, 3, 4, 6), (2, 6, *gate_size)]
    return [
        picture(*shape, seed=i).double().contiguous(memory_format=order)
        for i, shape in enumerate(shapes)
    ]


def plain(intrinsic, ghost, gate):
    gate = F.interpolate(gate, size=intrinsic.shape[2:], mode='nearest')
    return torch.cat((intrinsic, ghost), dim=1) * gate


ORDERS = pytest.mark.parametrize('order', [torch.contiguous_format, CHANNELS_LAST])


@ORDERS
@pytest.mark.parametrize('gate_size', [(2, 3), (4, 6), (1, 1), (1, 3)])
def test_gating_windows_is_gating_with_the_enlarged_gate(gate_size, order):
    given = maps(gate_size, order)
    with torch.no_grad():
        out = fused.gated_concat(*given)
    assert out.is_contiguous(memory_format=order)
    assert torch.equal(out, plain(*given))
    if order == CHANNELS_LAST:
        assert torch.equal(fused.gated_concat(*given), plain(*given))


def test_with_gradients_a_contiguous_map_is_left_to_the_plain_operators():
    assert fused.gated_concat(*maps(order=torch.contiguous_format)) is None


@pytest.mark.parametrize('gate_size', [(3, 3), (2, 5), (5, 6)])
def test_windows_of_unequal_size_are_left_to_up_sampling(gate_size):
    assert fused.gated_concat(*maps(gate_size)) is None


@pytest.mark.parametrize('operator', ['gated_concat', 'concat_add'])
def test_first_and_second_derivatives_are_right(operator):
    gate_size = (2, 3) if operator == 'gated_concat' else (4, 6)
    inputs = [x.requires_grad_() for x in maps(gate_size)]
    function = getattr(fused, operator)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_gradients_of_the_halves_are_whole_maps_of_their_own():
    intrinsic, ghost, shortcut = (x.requires_grad_() for x in maps((4, 6)))
    fused.concat_add(intrinsic, ghost, shortcut).square().sum().backward()
    assert intrinsic.grad.is_contiguous(memory_format=CHANNELS_LAST)
    assert ghost.grad.is_contiguous(memory_format=CHANNELS_LAST)


@ORDERS
@pytest.mark.parametrize('grad', [True, False])
def test_adding_halves_is_adding_the_concatenation(order, grad):
    intrinsic, ghost, shortcut = maps((4, 6), order)
    expected = torch.cat((intrinsic, ghost), dim=1) + shortcut
    with torch.set_grad_enabled(grad):
        out = fused.concat_add(intrinsic, ghost, shortcut)
    assert torch.equal(out, expected)
    assert out.is_contiguous(memory_format=order)
    mixed = fused.concat_add(intrinsic.float(), ghost.float(), shortcut)
    assert mixed.dtype == torch.float64
    assert relative_error(mixed, expected) < 1e-6


@pytest.mark.parametrize('size', [(64, 96), (67, 45), (33, 130)])
@ORDERS
def test_a_network_computes_the_same_with_and_without_them(monkeypatch, size, order):
    model = randomise(GhostNetV2(0.25, out_indices=range(6))).eval()
    x = picture(2, 3, *size).contiguous(memory_format=order)
    ours = model(x)
    for name in ('ghost_module', 'ghostnet'):
        monkeypatch.setattr(f'mmghost.models.{name}.runs_eagerly', lambda x: False)
    reference = model(x)
    for a, b in zip(ours, reference, strict=True):
        # The same sums in the same order: only the placing of the results differs.
        assert relative_error(a, b) < 1e-6


@pytest.mark.parametrize('grad', [True, False])
def test_transforms_of_torch_func_get_the_plain_operators(grad):
    model = randomise(GhostNetV2(0.25, out_indices=4)).double().eval()
    x = picture(2, 1, 3, 33, 32).double()
    step, h = torch.ones_like(x[0]), 1e-6
    with torch.set_grad_enabled(grad):
        one_by_one = torch.stack([model(one)[0] for one in x])
        assert torch.allclose(torch.func.vmap(model)(x)[0], one_by_one, atol=1e-10)
        slope = torch.func.jvp(lambda x: model(x)[0], (x[0],), (step,))[1]
        difference = (model(x[0] + h * step)[0] - model(x[0] - h * step)[0]) / (2 * h)
    assert relative_error(slope, difference) < 1e-5


@torch.no_grad()
def test_maps_stay_on_their_device_whatever_the_default_is():
    model, x = GhostNetV2(0.25).eval(), picture(1, 3, 64, 64)
    wanted = model(x)
    with torch.device('meta'):
        found = model(x)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted))


def test_training_keeps_less_than_with_the_plain_operators(monkeypatch):
    module = GhostModule(24, 72, dfc={}).to(memory_format=CHANNELS_LAST)
    x = picture(4, 24, 56, 56).contiguous(memory_format=CHANNELS_LAST)

    def step():
        module(x).square().mean().backward()

    step()
    ours = peak_memory(step)
    monkeypatch.setattr('mmghost.models.ghost_module.runs_eagerly', lambda x: False)
    # Concatenated and up-sampled map are two of the some eight that are kept.
    assert ours < 0.85 * peak_memory(step)


ACTIVATIONS = [
    nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.Hardsigmoid(),
    nn.Hardswish(), nn.SiLU(),
]  # fmt: skip


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='no oneDNN')
@pytest.mark.parametrize('kernel', [(1, 5), (1, 1)], ids=str)
@pytest.mark.parametrize('act', ACTIVATIONS, ids=lambda act: type(act).__name__)
def test_one_operator_is_convolution_and_activation(act, kernel):
    groups = 1 if kernel == (1, 1) else 8
    conv = nn.Conv2d(8, 8, kernel, padding=(0, kernel[1] // 2), groups=groups)
    fused_conv = FusedConv2d(conv, act)
    with torch.no_grad():
        for shape in [(2, 8, 12, 10), (1, 8, 7, 7)]:
            x = picture(*shape).contiguous(memory_format=CHANNELS_LAST)
            assert relative_error(fused_conv(x), act(conv(x))) < 1e-6
            # The depthwise one went to oneDNN, the 1x1 one is a product.
            assert (fused_conv._packed is None) == (groups == 1)
            assert relative_error(fused_conv(x.contiguous()), act(conv(x))) < 1e-6


def test_an_activation_that_is_not_known_exactly_is_not_taken():
    class Strange(nn.ReLU):
        pass

    assert not can_fuse(Strange())
    assert not can_fuse(nn.GELU())


def test_the_order_of_the_weights_is_made_for_the_size():
    """With one made for another size oneDNN falls back to something far slower."""
    fused_conv = FusedConv2d(nn.Conv2d(8, 8, 3, groups=8))
    keys = []
    with torch.no_grad():
        for size in (20, 6):
            x = picture(1, 8, size, size).contiguous(memory_format=CHANNELS_LAST)
            fused_conv(x)
            keys.append(fused_conv._packed[0])
            fused_conv(x)
            assert fused_conv._packed[0] == keys[-1]
    assert keys[0] != keys[1]


def through_numpy(weight, values):
    weight.detach().numpy()[:] = values.numpy()


@pytest.mark.parametrize(
    'write',
    [
        lambda weight, values: weight.copy_(values),
        lambda weight, values: weight.data.copy_(values),
        lambda weight, values: weight.data.lerp_(values, 1.0),
        lambda weight, values: setattr(weight, 'data', values.clone()),
        through_numpy,
    ],
    ids=['copy_', 'data.copy_', 'data.lerp_', 'data', 'numpy'],
)
@pytest.mark.parametrize('groups', [1, 8])
def test_changed_weights_are_noticed(write, groups):
    fused_conv = FusedConv2d(nn.Conv2d(8, 8, 3, groups=groups))
    fused_conv.to(memory_format=CHANNELS_LAST)
    other = nn.Conv2d(8, 8, 3, groups=groups)
    x = picture(1, 8, 6, 6).contiguous(memory_format=CHANNELS_LAST)
    with torch.no_grad():
        for _ in range(2):
            fused_conv(x)
            assert fused_conv._packed is not None
            write(fused_conv.weight, other.weight)
            write(fused_conv.bias, other.bias)
            assert relative_error(fused_conv(x), other(x)) < 1e-6
            other.reset_parameters()


def test_weights_with_gaps_in_memory_are_convolved_plainly():
    conv = nn.Conv2d(8, 8, 3, groups=8)
    fused_conv = FusedConv2d(conv)
    fused_conv.weight.data = torch.stack((conv.weight, conv.weight), dim=-1)[..., 0]
    x = picture(1, 8, 6, 6).contiguous(memory_format=CHANNELS_LAST)
    with torch.no_grad():
        assert relative_error(fused_conv(x), conv(x)) < 1e-6
    assert fused_conv._packed is None


def test_a_deployed_network_is_right_after_the_swaps_of_the_ema_hook():
    """mmengine's EMAHook puts the averaged weights in place through ``.data``."""
    order = dict(memory_format=CHANNELS_LAST)
    model, averaged = (
        randomise(GhostNetV2(out_indices=(0, 1)), seed).switch_to_deploy().eval()
        for seed in (0, 1)
    )
    model.to(**order)
    hook = EMAHook()
    hook.before_run(SimpleNamespace(model=model))
    hook.ema_model.module.load_state_dict(averaged.state_dict())
    x = picture(1, 3, 64, 64).contiguous(**order)
    with torch.no_grad():
        plainly = [
            [out.clone() for out in network.double()(x.double())]
            for network in (deepcopy(model), averaged)
        ]
        # As it is trained, validated with averaged weights, trained further, validated.
        for wanted in (*plainly, *plainly):
            for out, reference in zip(model(x), wanted, strict=True):
                assert relative_error(out.double(), reference) < 1e-5
            hook._swap_ema_parameters()
    assert any(getattr(m, '_packed', None) is not None for m in model.modules())
