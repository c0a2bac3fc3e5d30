"""The checks of a config itself, and the hook that runs all of them."""

import logging
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmghost.checks.annotations import Problem
from mmghost.checks.preflight import (
    check_keys,
    check_num_classes,
    check_weights,
    preflight,
    raise_if_fatal,
)
from mmghost.engine.launch import load_config, prepare_train, run_train
from mmghost.errors import UserError

from ..toys import write_config


@pytest.mark.parametrize(
    ('typo', 'meant'),
    [
        ('optim_wraper', 'optim_wrapper'),
        ('trian_cfg', 'train_cfg'),
        ('custom_hook', 'custom_hooks'),
        ('param_schedulers', 'param_scheduler'),
        ('modell', 'model'),
    ],
)
def test_a_misspelt_name_at_the_top_of_a_config_is_told(typo, meant):
    (problem,) = check_keys(Config({typo: dict(a=1)}))
    assert problem.where == typo
    assert f'did you mean {meant}?' in problem.what


def test_names_of_ones_own_at_the_top_of_a_config_are_let_alone():
    names = ('train_dataset', 'val_data', 'train_pipeline', 'models', 'vis_backends')
    cfg = Config({name: [] for name in names if name != 'models'})
    cfg.test_cfgs = 3  # no dict: a number of one's own
    assert check_keys(cfg) == []


def test_no_config_of_the_toolboxes_has_a_name_that_counts_as_misspelt():
    import mmdet
    import mmpretrain
    import mmseg

    seen = 0
    for package in (mmdet, mmseg, mmpretrain):
        base = Path(package.__file__).parent / '.mim' / 'configs' / '_base_'
        for path in sorted(base.rglob('*.py')):
            seen += 1
            assert check_keys(Config.fromfile(path)) == [], path
    assert seen > 100


def model(**backbone) -> Config:
    return Config(
        dict(model=dict(type='X', backbone=dict(type='GhostNetV2', **backbone)))
    )


def test_a_missing_weight_file_is_told_with_both_ways_to_go_on(tmp_path):
    (tmp_path / 'ck_ghostnetv2_10.pth').touch()
    name = str(tmp_path / 'ck_ghostnetv2_1.0.pth')
    (problem,) = check_weights(model(init_cfg=dict(type='Pretrained', checkpoint=name)))
    assert problem.where == 'model.backbone.init_cfg.checkpoint'
    assert 'did you mean ck_ghostnetv2_10.pth?' in problem.what
    assert '--cfg-options model.backbone.init_cfg.checkpoint=PATH' in problem.remedy
    assert 'model.backbone.init_cfg=None' in problem.remedy


def test_a_weight_file_that_is_there_and_a_url_are_let_alone(tmp_path, monkeypatch):
    (tmp_path / 'a.pth').touch()
    monkeypatch.setenv('HOME', str(tmp_path))
    for name in (str(tmp_path / 'a.pth'), '~/a.pth', 'https://example.org/a.pth'):
        cfg = model(init_cfg=dict(type='Pretrained', checkpoint=name))
        assert check_weights(cfg) == []


def test_layers_frozen_at_random_are_told_but_stop_nothing():
    for given in ({'init_cfg': None}, {}):  # ours start from random by default
        (problem,) = check_weights(model(**given, frozen_stages=2))
        assert not problem.fatal
        assert 'stays random' in problem.what
        assert check_weights(model(**given)) == []


@pytest.mark.parametrize('base', ['retinanet/retinanet_r50_fpn_1x_coco.py'])
def test_configs_over_a_toolboxs_own_have_settings_that_it_knows(base, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'mmdet::{base}'\n")
    cfg = load_config(str(path))
    assert '_scope_' in cfg.default_hooks.checkpoint
    assert check_keys(cfg) == []


def test_problems_that_can_be_lived_with_stop_nothing():
    raise_if_fatal([Problem('a', 'is odd', fatal=False)])


def test_all_fatal_problems_are_told_at_once():
    with pytest.raises(UserError) as caught:
        raise_if_fatal([Problem('a', 'is gone', 'fetch it'), Problem('b', 'is cut')])
    assert str(caught.value).splitlines() == [
        '2 things to mend first:',
        '  a: is gone - fetch it',
        '  b: is cut',
    ]


def test_a_head_with_too_many_classes_is_told(tmp_path, shapes):
    more = "model['bbox_head']['num_classes'] = 80"
    cfg = Config.fromfile(write_config(tmp_path, 'detection', shapes, more))
    (problem,) = preflight(cfg, ('train',))
    assert problem.where == 'model.bbox_head.num_classes'
    assert problem.what.startswith('is 80, the data set has 8 classes')


def test_heads_that_predict_no_classes_are_let_alone():
    class Data:
        metainfo = dict(classes=('a', 'b'))

    cfg = Config(
        dict(model=dict(type='M', rpn_head=dict(num_classes=1), head=dict(x=1)))
    )
    assert check_num_classes(cfg, Data()) == []


def test_places_in_lists_are_offered_as_cfg_options_takes_them():
    class Data:
        metainfo = dict(classes=('a', 'b'))

    heads = [dict(num_classes=2), dict(num_classes=80)]
    cfg = Config(dict(model=dict(type='M', roi_head=dict(bbox_head=heads))))
    (problem,) = check_num_classes(cfg, Data())
    assert problem.where == 'model.roi_head.bbox_head[1].num_classes'
    assert problem.remedy == '--cfg-options model.roi_head.bbox_head.1.num_classes=2'

    several = [dict(type='Kaiming'), dict(type='Pretrained', checkpoint='gone.pth')]
    (problem,) = check_weights(model(init_cfg=several))
    assert problem.where == 'model.backbone.init_cfg[1].checkpoint'
    assert ' model.backbone.init_cfg.1.checkpoint=PATH' in problem.remedy
    assert ' model.backbone.init_cfg=None ' in problem.remedy


def run_with_toolbox(path: str, **changes) -> Runner:
    """Do what the toolboxes' own train.py does."""
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(changes)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def train_at_the_door(path: str, **changes) -> None:
    """Do what tools/train.py does."""
    run_train(prepare_train(load_config(path, changes)))


def test_under_the_toolboxes_own_tools_the_hook_stops_a_truncated_picture(
    tmp_path, own_shapes
):
    path = own_shapes / 'coco/train2017/000000000002.jpg'
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r'000000000002\.jpg is cut short'):
        run_with_toolbox(write_config(tmp_path, 'detection', own_shapes))
    assert not list((tmp_path / 'work').glob('*.pth'))


@pytest.mark.parametrize('door', [run_with_toolbox, train_at_the_door])
def test_the_data_are_not_looked_at_where_the_config_says_so(tmp_path, shapes, door):
    more = "model['head']['num_classes'] = 80"
    path = write_config(tmp_path, 'classification', shapes, more)
    with pytest.raises(UserError, match='the data set has 8 classes'):
        door(path)
    door(path, **{'default_hooks.preflight.data': False})
    log = '\n'.join(p.read_text() for p in (tmp_path / 'work').rglob('*.log'))
    assert 'preflight: the data are not looked at' in log
    assert list((tmp_path / 'work').glob('*.pth'))


def test_under_the_toolboxes_own_tools_the_hook_stops_weights_of_another_width(
    tmp_path, shapes
):
    run_with_toolbox(write_config(tmp_path, 'classification', shapes))
    checkpoint = str(tmp_path / 'work' / 'iter_4.pth')
    other = write_config(
        tmp_path,
        'classification',
        shapes,
        "model['backbone']['widen_factor'] = 0.5\nmodel['head']['in_channels'] = 80",
    )
    with pytest.raises(UserError, match='of another width'):
        run_with_toolbox(other, load_from=checkpoint)
    with pytest.raises(UserError, match='of another width'):
        run_with_toolbox(other, load_from=checkpoint, resume=True)


def test_a_head_of_other_classes_starts_from_random_and_that_is_logged(
    tmp_path, shapes, caplog
):
    run_with_toolbox(write_config(tmp_path, 'classification', shapes))
    checkpoint = torch.load(tmp_path / 'work' / 'iter_4.pth', weights_only=False)
    for name in ('head.fc.weight', 'head.fc.bias'):
        value = checkpoint['state_dict'][name]
        checkpoint['state_dict'][name] = torch.cat([value, value])
    torch.save(checkpoint, tmp_path / 'coarse.pth')
    path = write_config(tmp_path, 'classification', shapes)
    with caplog.at_level(logging.INFO):
        run_with_toolbox(path, load_from=str(tmp_path / 'coarse.pth'))
    logged = '\n'.join(log.read_text() for log in (tmp_path / 'work').rglob('*.log'))
    assert '2 have another shape (head.fc.weight is (16, 40)' in logged
    with pytest.raises(UserError, match=r'head\.fc\.weight'):
        run_with_toolbox(path, load_from=str(tmp_path / 'coarse.pth'), resume=True)


def test_a_wrong_setting_of_the_loop_is_told_with_what_was_meant(tmp_path, shapes):
    cfg = Config.fromfile(write_config(tmp_path, 'detection', shapes))
    cfg.train_cfg = dict(by_epoch=True, max_epoch=1)
    (problem,) = check_keys(cfg)
    assert str(problem) == (
        'train_cfg.max_epoch: EpochBasedTrainLoop has no such setting; did you mean '
        'max_epochs?'
    )


@pytest.mark.parametrize('name', ['retinanet.py', 'detection/retinanet.py'])
def test_a_base_in_mmghosts_scope_is_answered_with_the_folder_of_its_configs(
    tmp_path, name
):
    """mmengine has other words for a name with a folder before it than for one without."""
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'mmghost::{name}'\n")
    with pytest.raises(UserError) as caught:
        load_config(str(path))
    folder = re.search(r'write (\S+)/NAME\.py', str(caught.value))[1]
    assert (Path(folder) / '_base_').is_dir()


def test_a_base_of_a_toolbox_under_another_name_is_told_where_it_lies(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmseg::deeplabv3/no_such.py'\n")
    with pytest.raises(UserError) as caught:
        load_config(str(path))
    if 'is not installed' in str(caught.value):  # as under the forks
        folder = re.search(r'write (\S+)/NAME\.py', str(caught.value))[1]
        assert (Path(folder) / 'deeplabv3').is_dir()
