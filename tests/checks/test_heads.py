"""ASPP's dilations against the maps that an output stride leaves them."""

import shlex
from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmghost.checks.heads import check_channels, check_heads
from mmghost.engine.options import add_cfg_options
from tests.helpers import of_the_tree

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
DEEPLAB = CONFIGS / 'deeplabv3_ghostnetv2_ade20k.py'


def found(options: dict) -> list:
    cfg = Config.fromfile(DEEPLAB)
    cfg.merge_from_dict(options)
    return check_heads(cfg)


@pytest.mark.parametrize('output_stride', [16, 32])
def test_dilations_as_wide_as_the_map_stop_the_training(output_stride):
    (problem,) = found({'model.backbone.output_stride': output_stride})
    assert problem.fatal
    assert problem.where == 'model.decode_head.dilations'
    side = 512 // output_stride
    assert f'maps of {side}x{side}' in problem.what
    assert f'output stride {output_stride}' in problem.what
    assert 'a dilation of 36 reads only zeros beside its centre' in problem.what


@pytest.mark.parametrize('output_stride', [16, 32])
def test_the_dilations_offered_instead_are_those_of_deeplabv3(output_stride):
    (problem,) = found({'model.backbone.output_stride': output_stride})
    dilations = {16: '(1,6,12,18)', 32: '(1,3,6,9)'}[output_stride]
    assert problem.remedy == (
        f'--cfg-options model.decode_head.dilations="{dilations}"'
    )
    options = {
        'model.backbone.output_stride': output_stride,
        'model.decode_head.dilations': eval(dilations),
    }
    assert found(options) == []


def test_dilations_wider_than_one_side_are_told_and_stop_nothing():
    options = {
        'model.backbone.output_stride': 16,
        'model.data_preprocessor.size': (512, 1024),
    }
    (problem,) = found(options)
    assert not problem.fatal
    assert 'maps of 64x32' in problem.what


def test_dilations_that_reach_further_than_deeplabv3s_are_told():
    options = {
        'model.backbone.output_stride': 16,
        'model.data_preprocessor.size': (1024, 1024),
    }
    (problem,) = found(options)
    assert not problem.fatal
    assert 'at output stride 16 reach 576 px' in problem.what


def test_the_default_dilations_of_mmsegs_head_are_checked_too():
    cfg = Config.fromfile(DEEPLAB)
    del cfg.model.decode_head.dilations
    cfg.model.data_preprocessor.size = (128, 128)
    (problem,) = check_heads(cfg)
    assert '(1, 6, 12, 18) do not fit output stride 8' in problem.what


def test_one_picture_is_too_little_for_the_pyramids_average():
    (problem,) = found({'train_dataloader.batch_size': 1})
    assert problem.where == 'train_dataloader.batch_size'
    # On several GPUs SyncBN sees the others' pictures.
    assert found({'train_dataloader.batch_size': 1, 'launcher': 'pytorch'}) == []


@pytest.mark.parametrize(
    'path',
    of_the_tree((CONFIGS / 'segmentation').glob('*.py')),
    ids=lambda path: path.stem,
)
def test_the_configs_fit_their_output_strides(path):
    assert check_heads(Config.fromfile(path)) == []


def test_backbones_whose_strides_are_not_known_are_let_alone():
    assert found({'model.backbone.type': 'mmseg.MobileNetV2'}) == []


def follow(cfg: Config, remedy: str) -> None:
    """Do to a config what the words ``--cfg-options KEY="VALUE"`` do."""
    parser = ArgumentParser()
    add_cfg_options(parser)
    cfg.merge_from_dict(parser.parse_args(shlex.split(remedy)).cfg_options)


@pytest.mark.parametrize('count', [1, 2])
def test_a_pyramid_in_a_list_is_mended_by_the_words_that_are_offered(count):
    cfg = Config.fromfile(DEEPLAB)
    cfg.model.decode_head = [cfg.model.decode_head] * count
    cfg.model.backbone.output_stride = 16
    problems = check_heads(cfg)
    assert len(problems) == count
    for problem in problems:
        follow(cfg, problem.remedy)
    assert check_heads(cfg) == []


GHOST = dict(type='mmghost.GhostNetV2', out_indices=(2, 3, 4))
MOBILE = dict(type='AttentionMobileNetV2', widen_factor=0.5, out_indices=(6,))
FPN = dict(type='FPN', in_channels=[24, 112, 160])
YOLO = dict(type='YOLOV3Neck', in_channels=[160, 40, 112])
GAP = dict(type='GlobalAveragePooling')


@pytest.mark.parametrize(
    ('model', 'where', 'there_are'),
    [
        (dict(backbone=GHOST, neck=FPN), 'neck', '[40, 112, 160]'),
        (dict(backbone=GHOST, neck=[FPN, {}]), 'neck[0]', '[40, 112, 160]'),
        (dict(backbone=GHOST, neck=YOLO), 'neck', '[160, 112, 40]'),
        (
            dict(backbone=GHOST, decode_head=dict(in_channels=320, in_index=-1)),
            'decode_head',
            '160',
        ),
        (
            dict(
                backbone=GHOST,
                decode_head=dict(in_channels=160),
                auxiliary_head=[dict(in_channels=96, in_index=1)],
            ),
            'auxiliary_head[0]',
            '112',
        ),
        (
            dict(
                backbone=GHOST, decode_head=dict(in_channels=[40, 160], in_index=[0, 1])
            ),
            'decode_head',
            '[40, 112]',
        ),
        (dict(backbone=MOBILE, neck=GAP, head=dict(in_channels=320)), 'head', '160'),
    ],
)
def test_channels_that_the_backbone_does_not_give_are_told(model, where, there_are):
    (problem,) = check_channels(Config(dict(model=model)))
    assert problem.where == f'model.{where}.in_channels'
    assert problem.what.endswith(f'the backbone gives {there_are}')
    assert problem.remedy.endswith(f'"{there_are}"'.replace(', ', ','))
    cfg = Config(dict(model=model))
    follow(cfg, problem.remedy)
    assert check_channels(cfg) == []


def test_other_backbones_and_what_fits_are_let_alone():
    for model in (
        dict(backbone=dict(type='ResNet', depth=18), neck=FPN),
        dict(backbone=GHOST, neck=FPN | dict(in_channels=(40, 112, 160))),
        dict(backbone=GHOST | dict(widen_factor=-1), neck=FPN),
        dict(backbone=GHOST, neck=GAP, head=dict(in_channels=160)),
    ):
        assert check_channels(Config(dict(model=model))) == []


def test_checking_channels_draws_none_of_the_trainings_random_numbers():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    check_channels(Config(dict(model=dict(backbone=GHOST, neck=FPN))))
    assert torch.equal(before, torch.random.get_rng_state())


def test_every_config_here_fits(root):
    paths = of_the_tree((root / 'configs').rglob('*.py'))
    assert len(paths) > 50
    for path in paths:
        cfg = Config.fromfile(path)
        if 'model' in cfg:
            assert check_channels(cfg) == [], path
