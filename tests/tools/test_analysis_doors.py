"""The tools that count, ablate and look, run in this process as a person calls them."""

import json
import runpy
import sys

import pytest

from mmghost.errors import UserError
from tests.engine.toys import ROOT, write_config

TOOLS = {
    'analysis_tools/get_flops.py': ['--shape', '--json'],
    'analysis_tools/ablate.py': ['--proxy', '--work-dir', '--seeds', '--rows'],
    'analysis_tools/benchmark_pipeline.py': ['--seconds', '--workers'],
    'analysis_tools/reproduction.py': ['--record', '--recount'],
    'visualization/vis_dfc.py': ['--out', '--query', '--grad-cam'],
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


def test_get_flops_prints_words_and_json(call):
    config = 'configs/classification/ghostnetv2-1.0_8xb128_in1k.py'
    assert '167,048,288' in call('analysis_tools/get_flops.py', config)
    options = ('--cfg-options', 'model.backbone.dfc=None')
    found = json.loads(
        call('analysis_tools/get_flops.py', config, '--shape', '96', '--json', *options)
    )
    assert found['shape'] == [96, 96]
    assert found['whole']['params'] == pytest.approx(5.183e6, rel=1e-3)
    assert found['backbone']['macs'] < found['whole']['macs']


def test_ablate_lists_the_full_trainings_without_a_proxy(call):
    text = call('analysis_tools/ablate.py', '6')
    command = (
        'bash tools/dist_train.sh configs/classification/ghostnetv2-1.0_8xb128_in1k.py 8 '
        "--cfg-options 'model.backbone.dfc.kernel_size=[9, 7, 5, 5]'"
    )
    assert command in text
    assert 'model.backbone.dfc=None' in text


def test_benchmark_pipeline_says_where_there_are_no_data(call, tmp_path):
    for task in ('detection', 'classification'):
        config = write_config(tmp_path, task, tmp_path / 'nowhere')
        with pytest.raises(UserError, match=r'there is no folder .*nowhere'):
            call('analysis_tools/benchmark_pipeline.py', config)


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
    picture = str(tmp_path / 'picture.png')
    mmcv.imwrite(np.random.default_rng(0).integers(0, 255, (60, 90, 3)), picture)
    out = tmp_path / 'seen.png'
    tool, given = 'visualization/vis_dfc.py', (config, weights, picture)
    text = call(tool, *given, '--out', str(out), '--query', '80', '10')
    assert 'stride 16: 6 blocks' in text
    assert out.is_file()
    with pytest.raises(UserError, match='has 90 x 60 px'):
        call(tool, *given, '--out', str(out), '--query', '10', '80')
    with pytest.raises(UserError, match='did you mean circle'):
        call(tool, *given, '--out', str(out), '--grad-cam', 'circl')
