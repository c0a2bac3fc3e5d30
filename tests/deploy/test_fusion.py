"""Deploy mode: no batch norm left, the same numbers, and files that say what they are."""

import copy

import pytest
import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.runner import load_state_dict
from torch.nn.modules.batchnorm import _BatchNorm

from mmghost.deploy.fusion import fold
from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2
from mmghost.weights import WeightsError, load_pretrained
from tests.helpers import picture, randomise, relative_error

# Folding rounds each weight once more; over some hundred layers that is 3e-6.
TOLERANCE = 1e-5


def norms(model: nn.Module) -> int:
    return sum(isinstance(m, _BatchNorm) for m in model.modules())


@pytest.mark.parametrize(
    'settings',
    [
        {},
        dict(output_stride=8),
        dict(dfc=dict(gate_position='after', upsample='bilinear', downsample='conv')),
        dict(dfc=dict(position='both', gate='clip', kernel_size=7)),
        dict(act_cfg=dict(type='GELU')),
        dict(drop_path_rate=0.2),
    ],
    ids=str,
)
def test_a_deployed_backbone_computes_the_same(settings):
    """Exactly, in double precision; near that in single, in either memory format."""
    model = randomise(GhostNetV2(0.25, out_indices=range(6), **settings)).eval()
    exact = copy.deepcopy(model).double()
    deployed = copy.deepcopy(model).switch_to_deploy()
    assert norms(deployed) == 0
    folded = copy.deepcopy(exact).switch_to_deploy()
    for size in [(64, 96), (67, 45)]:
        x = picture(2, 3, *size)
        with torch.no_grad():
            reference = exact(x.double())
            for a, b in zip(folded(x.double()), reference, strict=True):
                assert relative_error(a, b) < 1e-10
            for order in (torch.contiguous_format, torch.channels_last):
                outs = deployed(x.contiguous(memory_format=order))
                for a, b in zip(outs, reference, strict=True):
                    # Gates without a bound multiply what rounding has left.
                    assert relative_error(a.double(), b) < 1e-4


def test_all_122_batch_norms_of_the_classifier_fold_once():
    model = randomise(GhostNetClassifier()).eval()
    deployed = copy.deepcopy(model)
    assert norms(model) == fold(deployed) == 122
    assert fold(deployed) == 0
    state = {k: v.clone() for k, v in deployed.state_dict().items()}
    assert deployed.switch_to_deploy() is deployed
    assert all(torch.equal(v, state[k]) for k, v in deployed.state_dict().items())
    assert not any(p.requires_grad for p in deployed.parameters())
    x = picture(2, 3, 128, 96)
    with torch.no_grad():
        assert relative_error(deployed(x), model(x)) < TOLERANCE


def test_what_is_no_batch_norm_stays():
    cfg = dict(type='GN', num_groups=2)
    model = GhostNetV1(0.5, norm_cfg=cfg).eval()
    x = picture(1, 3, 64, 64)
    with torch.no_grad():
        before = model(x)
        assert fold(model) == 0
        for a, b in zip(model(x), before, strict=True):
            assert relative_error(a, b) < TOLERANCE


def test_a_deployed_network_is_scripted_and_traced_like_any():
    # Up to stride 8: scripting takes the longer the deeper the network.
    model = randomise(GhostNetV2(0.25, out_indices=(1, 2))).eval().switch_to_deploy()
    x = picture(2, 3, 67, 45)
    with torch.no_grad():
        outs = model(x)
        for form in (torch.jit.script(model), torch.jit.trace(model, x)):
            for a, b in zip(form(x), outs, strict=True):
                assert relative_error(a, b) < TOLERANCE


def test_necks_and_heads_fold_but_not_what_several_norms_share():
    def layer():
        return ConvModule(4, 4, 3, padding=1, norm_cfg=dict(type='BN'))

    model = nn.Sequential(layer(), layer(), layer())
    model[2].conv = model[1].conv  # as the heads of RTMDet share theirs between levels
    randomise(model).eval()
    x = picture(1, 4, 16, 16)
    with torch.no_grad():
        before = model(x)
        assert fold(model) == 1
        assert relative_error(model(x), before) < TOLERANCE
    assert norms(model) == 2


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    """A network, itself deployed, and the files of both."""
    folder = tmp_path_factory.mktemp('deploy')
    model = randomise(GhostNetV2(0.25)).eval()
    deployed = copy.deepcopy(model).switch_to_deploy()
    files = folder / 'plain.pth', folder / 'deployed.pth'
    torch.save(model.state_dict(), files[0])
    torch.save(deployed.state_dict(), files[1])
    return model, deployed, *map(str, files)


def same(a: nn.Module, b: nn.Module) -> bool:
    x = picture(1, 3, 64, 64)
    with torch.no_grad():
        return all(map(torch.equal, a.eval()(x), b(x)))


def test_deployed_weights_load_into_a_network_built_so(pair):
    _, deployed, _, file = pair
    model = GhostNetV2(0.25, deploy=True)
    assert load_pretrained(model, file).stayed_random == []
    assert same(model, deployed)


@pytest.mark.parametrize('through', ['torch', 'mmengine'])
def test_deployed_weights_switch_the_network_that_they_are_loaded_into(pair, through):
    _, deployed, *_ = pair
    model = nn.ModuleDict(dict(backbone=GhostNetV2(0.25)))
    state = {f'backbone.{k}': v for k, v in deployed.state_dict().items()}
    if through == 'torch':
        model.load_state_dict(state)
    else:
        load_state_dict(model, state, strict=True)
    assert model['backbone'].deploy
    assert same(model['backbone'], deployed)


def test_plain_weights_are_refused_by_a_deployed_network(pair):
    model, deployed, file, _ = pair
    with pytest.raises(WeightsError, match='is in deploy mode'):
        copy.deepcopy(deployed).load_state_dict(model.state_dict())
    with pytest.raises(WeightsError, match='built with deploy=True'):
        load_pretrained(GhostNetV2(0.25, deploy=True), file)


def test_pretrained_refuses_deployed_weights_for_training(pair):
    with pytest.raises(WeightsError, match='is a deployed network'):
        load_pretrained(GhostNetV2(0.25), pair[3])
