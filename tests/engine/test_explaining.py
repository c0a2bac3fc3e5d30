"""Errors of the toolboxes in plain words."""

import os
import urllib.error

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmghost.engine import explaining
from mmghost.engine.explaining import explain, near_config


def explained(model: dict, scope: str = 'mmdet') -> str:
    cfg = Config(dict(model=model))
    init_default_scope(scope)
    try:
        MODELS.build(cfg.model)
    except Exception as error:
        return explain(error, cfg)
    raise AssertionError('it was built')


def retinanet(**changes) -> dict:
    model = dict(
        type='RetinaNet',
        backbone=dict(type='GhostNetV2', widen_factor=0.25, out_indices=(2, 3, 4)),
        neck=dict(type='FPN', in_channels=[12, 28, 40], out_channels=8, num_outs=3),
        bbox_head=dict(
            type='RetinaHead', num_classes=2, in_channels=8, feat_channels=8,
            anchor_generator=dict(
                type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[8, 16, 32])),
    )  # fmt: skip
    for path, value in changes.items():
        node = model
        *parents, key = path.split('__')
        for parent in parents:
            node = node[parent]
        node[key] = value
    return model


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        (
            dict(backbone__type='GhostNetv2'),
            "model.backbone: unknown type 'GhostNetv2'; did you mean GhostNetV2",
        ),
        (
            dict(neck__type='FPNN'),
            "model.neck: unknown type 'FPNN'; did you mean FPN",
        ),
        (
            dict(backbone__widen_facto=1.3),
            "GhostNetV2 has no argument 'widen_facto'; did you mean widen_factor?",
        ),
        (
            dict(bbox_head__num_clases=3),  # RetinaHead hands it to AnchorHead
            "RetinaHead has no argument 'num_clases'; did you mean num_classes",
        ),
        (
            dict(backbne=dict(type='GhostNetV2')),
            "RetinaNet has no argument 'backbne'; did you mean backbone",
        ),
        (
            dict(backbone__out_indices=(7,)),
            'model.backbone: GhostNetV2 cannot be built: out_indices',
        ),
        (
            dict(backbone=dict(widen_factor=1.0)),
            'must contain the key "type"',
        ),
        (
            dict(neck=dict(type='FPN', in_channels=[12, 28, 40], num_outs=3)),
            "model.neck: FPN needs the argument 'out_channels'",
        ),
        (
            dict(neck__num_outs=1),  # a bare assertion in mmdet
            'model.neck: FPN cannot be built: AssertionError at `assert',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_typo_is_named_with_its_place_and_what_was_meant(changes, words):
    assert words in explained(retinanet(**changes))


def test_arguments_of_another_backbone_and_other_words_for_the_width_are_understood():
    backbone = dict(type='GhostNetV2', depth=50, out_indices=(2, 3, 4))
    assert '_delete_=True' in explained(retinanet(backbone=backbone))
    backbone = dict(type='GhostNetV2', width=1.3, out_indices=(2, 3, 4))
    assert explained(retinanet(backbone=backbone)).endswith('mean widen_factor?')


def test_a_process_that_waits_for_one_that_has_ended_points_to_it():
    error = RuntimeError('[pair.cc:534] gloo: Connection closed by peer [127.0.0.1]:1')
    assert explain(error).startswith('another process of this training has ended')


def test_configs_of_close_names_are_suggested_and_no_others(root, tmp_path):
    # The clone's own configs/ may hold the mine.py of docs/finetune.md.
    for config in (root / 'configs').glob('*ghostnetv2*.py'):
        (tmp_path / config.name).touch()
    close = str(tmp_path / 'retinanet_ghostnetv2_coco.py')
    assert close in near_config(close.replace('v2', '_v2'))
    assert near_config(str(tmp_path / 'mine.py')) == ''


def test_a_wrong_folder_does_not_have_all_that_lies_beside_it_searched(
    tmp_path, monkeypatch
):
    (tmp_path / 'configs').mkdir()
    (tmp_path / '.venv').mkdir()
    for folder in ('configs', '.venv'):
        (tmp_path / folder / 'retinanet.py').touch()
    for i in range(30):  # as many folders as a data set has classes
        (tmp_path / 'data' / f'{i:02d}').mkdir(parents=True)
    monkeypatch.setattr(explaining, '_MOST_FOLDERS', 10)
    looked_at = []
    walk = os.walk

    def watched(start):
        for entry in walk(start):
            looked_at.append(entry[0])
            yield entry

    monkeypatch.setattr(os, 'walk', watched)
    words = near_config(str(tmp_path / 'config' / 'retinanett.py'))
    assert words == f'; did you mean {tmp_path / "configs" / "retinanet.py"}?'
    assert len(looked_at) == 10


def test_without_a_network_the_ways_to_go_on_are_said():
    cfg = Config(
        dict(model=dict(backbone=dict(init_cfg=dict(checkpoint='https://x.org/a.pth'))))
    )
    words = explain(urllib.error.URLError('Name or service not known'), cfg)
    assert 'Name or service not known' in words
    assert '--cfg-options model.backbone.init_cfg.checkpoint=' in words
    assert 'https://x.org/a.pth' in words
    assert 'model.backbone.init_cfg=None' in words


def test_an_error_of_the_code_itself_is_not_explained_away():
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert explain(caught.value) is None
