"""switch_to_deploy.py: files of whole models that load, are told apart, and agree."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmghost.deploy.switching import switch_checkpoint
from mmghost.engine.checkpoints import check_fit
from mmghost.engine.predict import Predictor
from mmghost.engine.toolbox import toolbox_of
from mmghost.errors import UserError
from mmghost.weights import WeightsError
from tests.deploy.conftest import build_toy
from tests.helpers import picture, randomise, relative_error


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
    init_default_scope(toolbox_of(cfg).scope)
    model = MODELS.build(cfg.model)
    randomise(model.backbone)
    file, out = str(tmp_path / 'plain.pth'), str(tmp_path / 'deployed.pth')
    meta = dict(dataset_meta=dict(classes=list('abcdefgh'), palette=[[1, 2, 3]] * 8))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), file)

    done = switch_checkpoint(cfg, file, out, size=(96, 64))
    assert done.folded > 100
    assert done.difference <= 1e-5
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
