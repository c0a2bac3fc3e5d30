"""ASPP's dilations against the maps that an output stride leaves them."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmghost.engine.head_checks import check_heads

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
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
    'path', sorted((CONFIGS / 'segmentation').glob('*.py')), ids=lambda path: path.stem
)
def test_the_configs_fit_their_output_strides(path):
    assert check_heads(Config.fromfile(path)) == []


def test_backbones_whose_strides_are_not_known_are_let_alone():
    assert found({'model.backbone.type': 'mmseg.MobileNetV2'}) == []
