"""The tools that count, time and look, run in this process as a user calls them."""

import json
import runpy
import sys

import pytest

from mmghost.errors import UserError
from tests.engine.toys import ROOT, write_config

TOOLS = {
    'analysis_tools/get_flops.py': ['--shape', '--json'],
    'analysis_tools/benchmark.py': ['--models', '--forms', '--suite', '--against'],
    'visualization/vis_dfc.py': ['--out', '--query', '--shape'],
}


@pytest.fixture
def call(monkeypatch, capsys):
    def run(tool: str, *arguments: str) -> str:
        path = str(ROOT / 'tools' / tool)
        monkeypatch.setattr(sys, 'argv', [path, *arguments])
        monkeypatch.chdir(ROOT)
        runpy.run_path(path)['main']()
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize('tool', TOOLS)
def test_help_shows_examples_and_the_flags(tool, call, capsys):
    with pytest.raises(SystemExit) as done:
        call(tool, '--help')
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert f'python tools/{tool}' in text
    assert all(flag in text for flag in TOOLS[tool])


def test_get_flops_prints_a_table_and_json(call):
    config = 'configs/classification/ghostnetv2-1.0_8xb128_in1k.py'
    assert '167,048,288' in call('analysis_tools/get_flops.py', config)
    options = ('--cfg-options', 'model.backbone.dfc=None')
    found = json.loads(
        call('analysis_tools/get_flops.py', config, '--shape', '96', '--json', *options)
    )
    assert found['shape'] == [96, 96]
    assert found['whole']['params'] == pytest.approx(5.183e6, rel=1e-3)
    assert found['backbone']['macs'] < found['whole']['macs']


def test_vis_dfc_draws_a_detector_and_says_what_it_cannot(call, tmp_path):
    import mmcv
    import numpy as np
    import torch
    from mmengine.config import Config
    from mmengine.registry import MODELS, init_default_scope

    config = write_config(tmp_path, 'detection', tmp_path)
    init_default_scope('mmdet')
    model = MODELS.build(Config.fromfile(config).model)
    weights = str(tmp_path / 'weights.pth')
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, weights)
    image = str(tmp_path / 'image.png')
    mmcv.imwrite(np.random.default_rng(0).integers(0, 255, (60, 90, 3)), image)
    out = tmp_path / 'seen.png'
    tool, given = 'visualization/vis_dfc.py', (config, weights, image)
    text = call(tool, *given, '--out', str(out), '--query', '80', '10')
    assert 'stride 16: 6 blocks' in text
    assert out.is_file()
    with pytest.raises(UserError, match='has 90 x 60 px'):
        call(tool, *given, '--out', str(out), '--query', '10', '80')
