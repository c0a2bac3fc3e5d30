"""Deploy mode: batch norms and branches folded, the same numbers, no way back."""

import copy

import pytest
import torch
import torch.nn as nn
from mmcv.cnn import ConvModule

from mmghost.errors import WeightsError
from mmghost.models import GhostNetV1, GhostNetV2, GhostNetV3
from mmghost.models.folding import fold
from tests.helpers import image, randomize, relative_error

# In double precision: rounding would hide a small fault of a random network.
EXACT = 1e-11


@torch.no_grad()
@pytest.mark.parametrize('cls', [GhostNetV1, GhostNetV2, GhostNetV3])
def test_the_deployed_form_computes_the_same(cls):
    model = randomize(cls(0.5, out_indices=range(6))).double().eval()
    deployed = copy.deepcopy(model).switch_to_deploy()
    assert deployed.deploy and not model.deploy
    assert not any(isinstance(m, nn.BatchNorm2d) for m in deployed.modules())
    assert not any(p.requires_grad for p in deployed.parameters())
    x = image(2, 3, 97, 65).double()
    for ours, wanted in zip(deployed(x), model(x), strict=True):
        assert relative_error(ours, wanted) < EXACT


def test_branches_with_normalizations_of_no_statistics_stay():
    model = GhostNetV3(0.25, norm_cfg=dict(type='GN', num_groups=1)).eval()
    deployed = copy.deepcopy(model).switch_to_deploy()
    x = image(1, 3, 64, 64)
    assert torch.equal(deployed(x)[-1], model(x)[-1])


def test_a_folded_v3_is_a_folded_v2_to_the_tensor():
    v3 = GhostNetV3(0.25, deploy=True).state_dict()
    v2 = GhostNetV2(0.25, deploy=True).state_dict()
    assert {n: t.shape for n, t in v3.items()} == {n: t.shape for n, t in v2.items()}


def test_switching_twice_changes_nothing():
    model = GhostNetV2(0.25).switch_to_deploy()
    before = copy.deepcopy(model.state_dict())
    assert model.switch_to_deploy() is model
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


@torch.no_grad()
def test_half_precision_is_folded_in_double():
    model = randomize(GhostNetV2(0.25)).eval()
    wanted = copy.deepcopy(model).double().switch_to_deploy().state_dict()
    halved = copy.deepcopy(model).bfloat16().switch_to_deploy()
    for name, tensor in halved.state_dict().items():
        assert tensor.dtype == torch.bfloat16
        # one rounding of each batch norm's numbers to 8 bits, one of the product
        assert relative_error(tensor.double(), wanted[name]) < 0.05, name


def test_weights_of_another_form_are_refused():
    trained, deployed = GhostNetV2(0.25), GhostNetV2(0.25, deploy=True)
    with pytest.raises(WeightsError, match='weights are so'):
        trained.load_state_dict(deployed.state_dict(), strict=False)
    with pytest.raises(WeightsError, match='weights are not so'):
        deployed.load_state_dict(trained.state_dict(), strict=False)


def test_weights_of_v3s_branches_are_refused_by_v2():
    with pytest.raises(WeightsError, match='is not a GhostNetV3 with branches'):
        GhostNetV2(0.25).load_state_dict(GhostNetV3(0.25).state_dict(), strict=False)


@torch.no_grad()
def test_necks_and_heads_of_conv_modules_are_folded_too():
    norm = dict(type='BN')
    shared = nn.Conv2d(8, 8, 1)
    model = nn.Sequential(
        ConvModule(3, 8, 3, norm_cfg=norm),
        ConvModule(8, 8, 3, norm_cfg=norm, order=('norm', 'conv', 'act')),
        ConvModule(8, 8, 3, norm_cfg=dict(type='GN', num_groups=2)),
        nn.Sequential(shared, nn.BatchNorm2d(8)),
        nn.Sequential(shared, nn.BatchNorm2d(8)),  # as RTMDet's head shares its convs
    )
    randomize(model).double().eval()
    x = image(2, 3, 32, 32).double()
    wanted = model(x)
    fold(model)
    left = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert left == 3, 'only what is a convolution and then its own batch norm'
    assert relative_error(model(x), wanted) < EXACT
