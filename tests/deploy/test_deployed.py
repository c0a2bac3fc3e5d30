"""switch_to_deploy.py: checkpoints of whole models in the deployed form."""

import pytest
import torch
import torch.nn as nn
from mmengine.config import Config

from mmghost.deploy.deployed import deploy_checkpoint
from mmghost.engine.building import build_model
from mmghost.engine.predict import Predictor
from mmghost.errors import UserError
from mmghost.models import folding
from tests.deploy.conftest import build_toy
from tests.helpers import image, randomize, relative_error


def build(cfg: Config, path) -> tuple[nn.Module, str]:
    """Return a model with random statistics, and its checkpoint."""
    model = build_model(cfg)
    randomize(model.backbone)
    meta = dict(dataset_meta=dict(classes=list('abcdefgh'), palette=[[1, 2, 3]] * 8))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return model.eval(), str(path)


def test_a_deployed_checkpoint_is_used_with_the_same_config(data, tmp_path):
    cfg = build_toy(tmp_path, 'retinanet', data)
    model, file = build(cfg, tmp_path / 'whole.pth')
    out = str(tmp_path / 'deployed.pth')
    difference = deploy_checkpoint(cfg, file, out, size=(96, 64))
    assert 0 < difference < 1e-12  # rounding in double precision
    content = torch.load(out, weights_only=True)
    assert content['meta']['mmghost_deploy'] is True
    assert content['meta']['dataset_meta']['classes'] == list('abcdefgh')
    assert not [n for n in content['state_dict'] if n.endswith('running_mean')]

    deployed = Predictor(cfg, out, 'cpu').model
    x = image(2, 3, 96, 64)
    with torch.no_grad():
        for ours, wanted in zip(deployed.backbone(x), model.backbone(x), strict=True):
            # Single precision, and weights that were rounded once more.
            assert relative_error(ours, wanted) < 1e-5
    with pytest.raises(UserError, match='in the deployed form already'):
        deploy_checkpoint(cfg, out, file)


def test_a_fold_that_is_a_little_wrong_is_not_written(data, tmp_path, monkeypatch):
    right = folding.folded_conv

    def without_eps(conv, norm):
        norm.eps = 0.0
        return right(conv, norm)

    cfg = build_toy(tmp_path, 'classifier', data)
    _, file = build(cfg, tmp_path / 'whole.pth')
    monkeypatch.setattr(folding, 'folded_conv', without_eps)
    with pytest.raises(UserError, match='more than 1e-10: not written'):
        deploy_checkpoint(cfg, file, str(tmp_path / 'deployed.pth'), size=(96, 64))
    assert not (tmp_path / 'deployed.pth').exists()
