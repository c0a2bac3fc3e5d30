"""switch_to_deploy.py: files of whole models that load, are told apart, and agree."""

import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmghost.deploy.fusion import folded_conv
from mmghost.deploy.switching import switch_checkpoint
from mmghost.engine.checkpoints import check_fit
from mmghost.engine.predict import Predictor
from mmghost.checks.toolbox import toolbox_of
from mmghost.errors import UserError
from mmghost.weights import WeightsError
from tests.deploy.conftest import build_toy
from tests.helpers import picture, randomise, relative_error


def build(cfg: Config) -> nn.Module:
    init_default_scope(toolbox_of(cfg).scope)
    model = MODELS.build(cfg.model)
    randomise(model.backbone)
    return model


def save(model: nn.Module, path) -> str:
    meta = dict(dataset_meta=dict(classes=list('abcdefgh'), palette=[[1, 2, 3]] * 8))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


@pytest.mark.parametrize(
    'kind',
    [
        'classifier',
        pytest.param('segmentor', marks=pytest.mark.slow),
        pytest.param('retinanet', marks=pytest.mark.slow),
    ],
)
def test_the_switched_file_is_used_with_the_same_config(kind, data, tmp_path):
    cfg = build_toy(tmp_path, kind, data)
    model = build(cfg)
    file, out = save(model, tmp_path / 'plain.pth'), str(tmp_path / 'deployed.pth')

    done = switch_checkpoint(cfg, file, out, size=(96, 64))
    assert done.folded > 100
    assert 0 < done.difference < 1e-12 < done.rounding < 1e-5
    content = torch.load(out, weights_only=True)
    assert content['meta']['mmghost_deploy'] is True
    names = [n for n in content['state_dict'] if n.startswith('backbone.')]
    assert not [n for n in names if 'running_mean' in n]

    switched = Predictor(cfg, out, 'cpu').model
    x = picture(2, 3, 96, 64)
    with torch.no_grad():
        pairs = zip(switched.backbone(x), model.eval().backbone(x), strict=True)
        for a, b in pairs:
            assert relative_error(a, b) < 1e-5
    with pytest.raises(UserError, match='in deploy mode already'):
        switch_checkpoint(cfg, out, file)
    with pytest.raises(WeightsError, match='to train, take the file'):
        check_fit(MODELS.build(cfg.model), content, out, strict=False)


def test_coarse_rounding_is_no_reason_to_refuse(data, tmp_path):
    """Means of a thousand deviations, which biases undo, cost three of seven digits."""
    cfg = build_toy(tmp_path, 'classifier', data)
    model = build(cfg)
    with torch.no_grad():
        for norm in model.backbone.modules():
            if isinstance(norm, nn.BatchNorm2d):
                deviation = (norm.running_var + norm.eps).sqrt()
                shift = 1000 * torch.randn_like(deviation)
                norm.running_mean += shift * deviation
                norm.bias += shift * norm.weight
    file, out = save(model, tmp_path / 'plain.pth'), tmp_path / 'deployed.pth'
    done = switch_checkpoint(cfg, file, str(out), size=(96, 64))
    assert out.exists()
    assert done.difference < 1e-11
    assert done.rounding > 1e-5


def test_a_fold_that_is_a_little_wrong_is_refused(data, tmp_path, monkeypatch):
    def without_eps(conv, norm):
        norm.eps = 0.0
        return folded_conv(conv, norm)

    cfg = build_toy(tmp_path, 'classifier', data)
    file, out = save(build(cfg), tmp_path / 'plain.pth'), tmp_path / 'deployed.pth'
    monkeypatch.setattr('mmghost.deploy.fusion.folded_conv', without_eps)
    with pytest.raises(
        UserError, match='double precision, more than 1e-10: not written'
    ):
        switch_checkpoint(cfg, file, str(out), size=(96, 64))
    assert not out.exists()
