"""The attentions against timm's code, mmcv and by hand."""

import pytest
import torch
import torch.nn as nn
from mmcv.cnn import build_plugin_layer

from mmghost.analysis import complexity
from mmghost.models import DFCAttention, GhostNetV2
from projects.ablation import (
    AttentionMobileNetV2,
    CBAMAttention,
    CoordAttention,
    DFCPlugin,
    SEAttention,
    UnsharedGhostNetV2,
)
from projects.ablation.unshared import AxisFC
from tests.helpers import image, randomize, relative_error

KINDS = [SEAttention, CBAMAttention, CoordAttention, DFCPlugin]
# Both sides sum in float64 what they may sum in another order.
ROUNDING = 1e-12


def pair(ours: nn.Module, theirs: nn.Module, names: dict[str, str] | None = None):
    """Give both modules the same random weights, in float64."""
    ours, theirs = randomize(ours).double().eval(), theirs.double().eval()
    state = {}
    for name, value in ours.state_dict().items():
        layer, kind = name.rsplit('.', 1)
        state[f'{(names or {}).get(layer, layer)}.{kind}'] = value
    theirs.load_state_dict(state)
    return ours, theirs


def assert_equal(ours: nn.Module, theirs: nn.Module, channels: int) -> None:
    x = image(2, channels, 9, 13).double()
    with torch.no_grad():
        assert relative_error(ours(x), theirs(x)) < ROUNDING


def test_se_is_timms():
    from timm.layers import SEModule

    assert_equal(*pair(SEAttention(32, 4), SEModule(32, rd_channels=8)), 32)


def test_cbam_is_timms_with_the_published_biases_and_order_of_pools():
    from timm.layers.cbam import CbamModule

    names = {
        'fc1': 'channel.fc1',
        'fc2': 'channel.fc2',
        'spatial.0': 'spatial.conv.conv',
        'spatial.1': 'spatial.conv.bn',
    }
    theirs = CbamModule(32, rd_channels=8, mlp_bias=True)
    ours, theirs = pair(CBAMAttention(32, 4), theirs, names)
    # timm has the average before the maximum, the published code behind it.
    weight = theirs.spatial.conv.conv.weight
    weight.data = weight.data.flip(1)
    assert_equal(ours, theirs, 32)


@pytest.mark.parametrize(('reduction', 'inner'), [(4, 16), (32, 8)])  # at least 8
def test_coordinate_attention_is_timms_with_the_published_sizes(reduction, inner):
    from timm.layers.coord_attn import CoordAttn

    theirs = CoordAttn(64, rd_channels=inner, bias=True)
    assert_equal(*pair(CoordAttention(64, reduction), theirs), 64)


@pytest.mark.parametrize('cls', KINDS)
def test_each_is_a_plugin_that_trains_at_any_size(cls):
    name, module = build_plugin_layer(
        dict(type=cls.__name__), in_channels=16, postfix='_after'
    )
    assert type(module) is cls and name == f'{cls._abbr_}_after'
    for size in ((1, 1), (1, 7), (32, 5)):
        x = image(4, 16, *size)
        out = module(x)
        assert out.shape == x.shape
        out.square().mean().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_mmdets_resnet_carries_dfc_as_a_plugin():
    from mmdet.models import ResNet

    plugin = dict(
        cfg=dict(type='DFCPlugin', kernel_size=3),
        stages=(False, True, True, True),
        position='after_conv3',
    )
    model = ResNet(50, base_channels=8, plugins=[plugin])
    gates = [m for m in model.modules() if isinstance(m, DFCPlugin)]
    assert len(gates) == 4 + 6 + 3  # the blocks of the last three stages
    sum(o.square().mean() for o in model(image(2, 3, 64, 64))).backward()
    assert all(p.grad is not None for gate in gates for p in gate.parameters())


def test_without_attention_it_is_mmpretrains_network():
    from mmpretrain.models import MobileNetV2

    theirs = randomize(MobileNetV2(0.5, out_indices=(1, 7)))
    ours = AttentionMobileNetV2(widen_factor=0.5, out_indices=(1, 7))
    ours.load_state_dict(theirs.state_dict())
    ours.eval(), theirs.eval()
    x = image(1, 3, 65, 96)
    assert all(torch.equal(a, b) for a, b in zip(ours(x), theirs(x), strict=True))


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('kind', ['SEAttention', 'DFCPlugin', 'DFCAttention'])
def test_every_block_of_layers_2_to_7_has_the_attention_and_trains(kind, with_cp):
    model = AttentionMobileNetV2(
        attention=dict(type=kind), widen_factor=0.25, with_cp=with_cp
    )
    attended = [n for n, m in model.named_modules() if type(m).__name__ == kind]
    assert len(attended) == 16
    assert not any(name.startswith('layer1.') for name in attended)
    model(image(2, 3, 64, 64))[0].square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_dfc_gates_the_expansion_and_others_weigh_the_depthwise_map():
    x = image(2, 32, 16, 16)
    for kind in ('mmghost.DFCAttention', 'SEAttention'):
        model = AttentionMobileNetV2(attention=dict(type=kind), attention_layers=[3])
        block = randomize(model).layer3[1].eval()
        expand, depthwise, project = block.conv
        out = expand(x)
        if kind == 'SEAttention':
            out = block.attention(depthwise(out))
        else:
            out = depthwise(out * block.attention(x, out))
        assert torch.equal(block(x), x + project(out))
        assert not hasattr(model.layer2[0], 'attention')


@pytest.mark.parametrize('axis', [0, 1])
def test_the_equations_with_shared_weights_are_the_releases_convolution(axis):
    kernel, padding = ((5, 1), (2, 0)) if axis == 0 else ((1, 5), (0, 2))
    conv = nn.Conv2d(6, 6, kernel, padding=padding, groups=6, bias=False).double()
    fc = AxisFC(6, 9, axis).double()
    weight = torch.zeros(6, 9, 9, 9, dtype=torch.double)
    for i in range(9):  # a position, and what it reads: itself and two on each side
        for k in range(max(0, i - 2), min(9, i + 3)):
            there = (slice(None), i) if axis == 0 else (slice(None), slice(None), i)
            weight[there][..., k] = conv.weight.flatten(1)[:, k - i + 2, None]
    fc.weight.data = weight
    x = image(2, 6, 9, 9).double()
    assert relative_error(fc(x), conv(x)) < ROUNDING


def test_the_network_of_the_equations_trains_at_its_size_and_costs_its_weights():
    model = UnsharedGhostNetV2(0.5, out_indices=5, image_size=128)
    model(image(2, 3, 128, 128))[0].square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(ValueError, match=r'not 16x16: set image_size'):
        model(image(1, 3, 64, 64))
    # As many multiplications as weights; the convolutions had 10 for each position.
    more = sum(m.weight.numel() for m in model.modules() if isinstance(m, AxisFC))
    gates = [m for m in model.modules() if isinstance(m, DFCAttention)]
    less = sum(10 * g[0].out_channels * g[2].side ** 2 for g in gates)
    released = complexity(GhostNetV2(0.5, out_indices=5), (128, 128)).macs
    assert complexity(model, (128, 128)).macs == released + more - less
