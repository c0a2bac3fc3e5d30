"""The tools that count, time and look, run in this process as a user calls them."""

import json

import pytest

from tests.engine.toys import write_config


def test_get_flops_prints_a_table_and_json(call):
    tool = 'analysis_tools/get_flops.py'
    config = 'configs/classification/ghostnetv2-1.0_8xb128_in1k.py'
    assert '167,048,288' in call(tool, config)[1]
    flags = '--shape 96 --json --cfg-options model.backbone.dfc=None'
    found = json.loads(call(tool, config, *flags.split())[1])
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
    given = (
        'visualization/vis_dfc.py',
        config,
        weights,
        image,
        '--out',
        out,
        '--query',
    )
    assert 'stride 16: 6 blocks' in call(*given, 80, 10)[1]
    assert out.is_file()
    status, text = call(*given, 10, 80)
    assert (status, 'has 90 x 60 px' in text) == (1, True)
