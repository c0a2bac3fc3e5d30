"""SE, CBAM, Coordinate Attention and DFC, against other people's code and by hand."""

import numpy as np
import pytest
import torch
import torch.nn as nn
from mmcv.cnn import build_plugin_layer

from mmghost.models import CBAMAttention, CoordAttention, DFCPlugin, SEAttention
from mmghost.registry import MODELS
from tests.helpers import picture, randomise, relative_error

ALL = pytest.mark.parametrize(
    'cls', [SEAttention, CBAMAttention, CoordAttention, DFCPlugin]
)
# Both sides sum in float64 what they may sum in another order.
ROUNDING = 1e-12


def trained(module: nn.Module) -> nn.Module:
    """Random weights and statistics, in float64, in evaluation mode."""
    return randomise(module).double().eval()


def maps(channels: int) -> torch.Tensor:
    return picture(2, channels, 9, 13).double()


def test_se_is_timms():
    from timm.layers import SEModule

    ours = trained(SEAttention(32, reduction=4))
    theirs = SEModule(32, rd_channels=8).double()
    theirs.load_state_dict(ours.state_dict())
    x = maps(32)
    with torch.no_grad():
        assert relative_error(ours(x), theirs(x)) < ROUNDING


def test_cbam_is_timms_with_the_published_biases_and_order_of_pools():
    from timm.layers.cbam import CbamModule

    ours = trained(CBAMAttention(32, reduction=4))
    theirs = CbamModule(32, rd_channels=8, mlp_bias=True).double().eval()
    names = {
        'fc1': 'channel.fc1',
        'fc2': 'channel.fc2',
        'spatial.0': 'spatial.conv.conv',
        'spatial.1': 'spatial.conv.bn',
    }
    state = {}
    for name, value in ours.state_dict().items():
        layer, kind = name.rsplit('.', 1)
        # timm has the average before the maximum, the published code behind it.
        state[f'{names[layer]}.{kind}'] = (
            value.flip(1) if layer == 'spatial.0' else value
        )
    theirs.load_state_dict(state)
    x = maps(32)
    with torch.no_grad():
        assert relative_error(ours(x), theirs(x)) < ROUNDING


def test_coordinate_attention_is_timms_with_the_published_sizes_and_biases():
    from timm.layers.coord_attn import CoordAttn

    for reduction, inside in ((4, 16), (32, 8)):  # 64 / 32 is 2, and 8 the least
        ours = trained(CoordAttention(64, reduction=reduction))
        assert ours.conv1.out_channels == inside
        theirs = CoordAttn(64, rd_channels=inside, bias=True).double().eval()
        theirs.load_state_dict(ours.state_dict())
        x = maps(64)
        with torch.no_grad():
            assert relative_error(ours(x), theirs(x)) < ROUNDING


def test_dfc_sums_rows_then_columns_of_the_halved_map_as_equations_4_and_5_say():
    ours = trained(DFCPlugin(6, kernel_size=5))
    dfc, x = ours.attention, maps(6)

    def norm(layer: nn.BatchNorm2d, z: np.ndarray) -> np.ndarray:
        mean, var, weight, bias = (
            t.detach().numpy()[None, :, None, None]
            for t in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        )
        return (z - mean) / np.sqrt(var + layer.eps) * weight + bias

    def fully_connected(weights: torch.Tensor, size: int) -> np.ndarray:
        """The kernel of each channel as the matrix that it stands for."""
        kernel = weights.detach().flatten(1).numpy()
        matrix = np.zeros((len(kernel), size, size))
        for to in range(size):
            for of in range(size):
                if 0 <= of - to + 2 < 5:
                    matrix[:, to, of] = kernel[:, of - to + 2]
        return matrix

    halved = x.numpy()[:, :, :8, :12].reshape(2, 6, 4, 2, 6, 2).mean((3, 5))
    mixed = np.einsum(
        'oi,nihw->nohw', dfc[0].weight.detach().numpy()[..., 0, 0], halved
    )
    z = norm(dfc[1], mixed)
    z = norm(dfc[3], np.einsum('cvw,nchw->nchv', fully_connected(dfc[2].weight, 6), z))
    z = norm(dfc[5], np.einsum('cvh,nchw->ncvw', fully_connected(dfc[4].weight, 4), z))
    gate = 1 / (1 + np.exp(-z))
    rows = [h * 4 // 9 for h in range(9)]  # nearest
    columns = [w * 6 // 13 for w in range(13)]
    expected = x * torch.from_numpy(gate[:, :, rows][..., columns])
    assert relative_error(ours(x), expected) < ROUNDING


@ALL
@pytest.mark.parametrize('size', [(1, 1), (1, 7), (32, 5)])
def test_every_size_trains(cls, size):
    module = cls(16)
    x = picture(4, 16, *size).requires_grad_()
    out = module(x)
    assert out.shape == x.shape
    out.square().mean().backward()
    assert torch.isfinite(x.grad).all()
    assert all(p.grad is not None for p in module.parameters())


@ALL
def test_each_is_a_plugin_in_mmcvs_sense_and_in_mmghosts_registry(cls):
    name, layer = build_plugin_layer(
        dict(type=cls.__name__), in_channels=16, postfix='_after'
    )
    assert type(layer) is cls
    assert name == f'{cls._abbr_}_after'
    assert (
        type(MODELS.build(dict(type=f'mmghost.{cls.__name__}', in_channels=16))) is cls
    )


def test_mmdets_resnet_carries_dfc_as_a_plugin():
    from mmdet.models import ResNet

    plugin = dict(
        cfg=dict(type='DFCPlugin', kernel_size=3),
        stages=(False, True, True, True),
        position='after_conv3',
    )
    model = ResNet(50, base_channels=8, plugins=[plugin])
    plain = ResNet(50, base_channels=8)
    gates = [m for m in model.modules() if isinstance(m, DFCPlugin)]
    assert len(gates) == 4 + 6 + 3  # the blocks of the last three stages
    outs = model(picture(2, 3, 64, 64))
    reference = plain(picture(2, 3, 64, 64))
    assert [o.shape for o in outs] == [o.shape for o in reference]
    sum(o.square().mean() for o in outs).backward()
    assert all(p.grad is not None for gate in gates for p in gate.parameters())


@ALL
def test_a_wrong_argument_is_refused_by_name(cls):
    with pytest.raises(ValueError, match='in_channels must be at least 1, got 0'):
        cls(0)
    with pytest.raises(TypeError, match='in_channels must be an int'):
        cls('16')
    if cls is DFCPlugin:
        with pytest.raises(ValueError, match='gate must be one of'):
            cls(16, gate='tanh')
        return
    with pytest.raises(ValueError, match='reduction must be at least 1'):
        cls(16, reduction=0)
    if cls is CBAMAttention:
        with pytest.raises(ValueError, match='kernel_size must be odd'):
            cls(16, kernel_size=4)
