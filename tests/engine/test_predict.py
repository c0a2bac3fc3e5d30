"""Pictures of predictions for the three tasks."""

import re
import warnings
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.visualization import Visualizer
from PIL import Image

from mmghost.engine.launch import load_config
from mmghost.engine.predict import Predictor, find_pictures, output_paths
from mmghost.errors import UserError

from .toys import CLASSES, write_config

SCOPES = {'detection': 'mmdet', 'segmentation': 'mmseg', 'classification': 'mmpretrain'}


def save_random(cfg: Config, scope: str, path: Path) -> str:
    init_default_scope(scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for parameter in model.parameters():  # fresh heads are too sure of nothing
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    meta = dict(
        dataset_meta=dict(classes=CLASSES, palette=[[9, 9, 9 * i] for i in range(8)])
    )
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


@pytest.mark.parametrize('task', SCOPES)
def test_the_prediction_is_drawn_on_the_picture(tmp_path, shapes, task):
    cfg = load_config(write_config(tmp_path, task, shapes))
    checkpoint = save_random(cfg, SCOPES[task], tmp_path / 'a.pth')
    picture = str(shapes / 'coco/train2017/000000000001.jpg')
    out = tmp_path / 'sub' / 'seen.png'
    predictor = Predictor(cfg, checkpoint, 'cpu')
    with warnings.catch_warnings(record=True) as told:
        words = predictor.draw(picture, str(out), score_thr=0.0)
    assert not [entry for entry in told if 'out of bounds' in str(entry.message)]
    drawn = np.asarray(Image.open(out).convert('RGB')).astype(int)
    original = np.asarray(Image.open(picture).convert('RGB')).astype(int)
    assert drawn.shape == original.shape
    assert np.abs(drawn - original).max() > 30
    assert {
        'detection': words == '10 objects of score >= 0',
        'segmentation': words.startswith('classes '),
        'classification': words.split(' (')[0] in CLASSES,
    }[task], words


def test_the_threshold_of_the_score_says_which_boxes_are_drawn(tmp_path, shapes):
    cfg = load_config(write_config(tmp_path, 'detection', shapes))
    predictor = Predictor(cfg, save_random(cfg, 'mmdet', tmp_path / 'a.pth'), 'cpu')
    picture = str(shapes / 'coco/train2017/000000000001.jpg')
    words = predictor.draw(picture, str(tmp_path / 'a.png'), score_thr=1.1)
    assert words == '0 objects of score >= 1.1'
    drawn = mmcv.imread(tmp_path / 'a.png', channel_order='rgb')
    # Not the picture itself: older releases of matplotlib, which draws, move it a little.
    empty = Visualizer()
    empty.set_image(mmcv.imread(picture, channel_order='rgb'))
    assert np.array_equal(drawn, empty.get_image())


def test_weights_of_another_width_are_not_drawn_with(tmp_path, shapes):
    path = write_config(tmp_path, 'detection', shapes)
    checkpoint = save_random(load_config(path), 'mmdet', tmp_path / 'a.pth')
    with pytest.raises(UserError, match='of another width'):
        Predictor(load_config(path, {'model.backbone.widen_factor': 0.5}), checkpoint)


def test_a_data_preprocessor_beside_the_model_is_heeded(tmp_path, shapes):
    """It is where mmpretrain's configs have mean and std."""
    cfg = load_config(write_config(tmp_path, 'classification', shapes))
    checkpoint = save_random(cfg, 'mmpretrain', tmp_path / 'a.pth')
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')
    model = Predictor(cfg, checkpoint, 'cpu').model
    assert model.data_preprocessor.mean.flatten().tolist() == [128.0] * 3


def test_several_test_sets_in_one_do_not_say_how_to_prepare_a_picture(tmp_path, shapes):
    cfg = load_config(write_config(tmp_path, 'detection', shapes))
    checkpoint = save_random(cfg, 'mmdet', tmp_path / 'a.pth')
    part = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[part, part])
    with pytest.raises(UserError, match='is a ConcatDataset of 2 data sets'):
        Predictor(cfg, checkpoint, 'cpu')


def test_a_device_that_is_not_there_is_refused(tmp_path, shapes):
    cfg = load_config(write_config(tmp_path, 'classification', shapes))
    checkpoint = save_random(cfg, 'mmpretrain', tmp_path / 'a.pth')
    with pytest.raises(UserError, match='--device cuda:99'):
        Predictor(cfg, checkpoint, 'cuda:99')


def test_a_folder_of_pictures_becomes_a_folder_of_pictures(tmp_path, shapes):
    source = str(shapes / 'imagenet' / 'val')
    found = find_pictures(source)
    outputs = output_paths(source, found, str(tmp_path / 'seen'))
    assert len(set(outputs)) == len(found) == 8
    assert outputs[0] == str(tmp_path / 'seen' / 'circle' / '000001.png')


def test_pictures_that_differ_in_their_suffix_only_get_names_of_their_own(tmp_path):
    for name in ('a.jpg', 'a.png', 'b.jpg'):
        Image.new('RGB', (4, 4)).save(tmp_path / name)
    outputs = output_paths(str(tmp_path), find_pictures(str(tmp_path)), 'out')
    assert outputs == ['out/a.jpg.png', 'out/a.png.png', 'out/b.png']


def test_one_picture_goes_into_a_file_or_into_a_folder_that_is_there(tmp_path):
    assert output_paths('x/a.jpg', ['x/a.jpg'], 'out.png') == ['out.png']
    assert output_paths('x/a.jpg', ['x/a.jpg'], 'out') == ['out.png']
    assert output_paths('x/a.jpg', ['x/a.jpg'], str(tmp_path)) == [f'{tmp_path}/a.png']
    with pytest.raises(UserError, match=r'--out one\.png: name a folder for those of'):
        output_paths(str(tmp_path), ['a.jpg', 'b.jpg'], 'one.png')
    with pytest.raises(UserError, match='pictures end in'):
        output_paths('x/a.jpg', ['x/a.jpg'], 'out.txt')


def test_pictures_that_are_not_there_or_not_whole_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match='no such picture or folder'):
        find_pictures(str(tmp_path / 'gone.jpg'))
    with pytest.raises(UserError, match='holds no pictures'):
        find_pictures(str(tmp_path))
    (tmp_path / 'a.jpg').write_bytes(b'\xff\xd8\xff')
    with pytest.raises(UserError, match=r'a\.jpg is'):
        find_pictures(str(tmp_path))
    with pytest.raises(UserError, match=r'folder; did you mean a\.jpg\?'):
        find_pictures(str(tmp_path / 'a.jpeg'))


def test_a_segmentor_without_names_says_its_classes_by_number(tmp_path, shapes):
    cfg = load_config(write_config(tmp_path, 'segmentation', shapes))
    predictor = Predictor(cfg, save_random(cfg, 'mmseg', tmp_path / 'a.pth'), 'cpu')
    predictor.classes = None
    picture = str(shapes / 'coco/train2017/000000000001.jpg')
    words = predictor.draw(picture, str(tmp_path / 'a.png'))
    assert re.fullmatch(r'classes \d+(, \d+)*', words)


@pytest.mark.parametrize('task', SCOPES)
def test_a_config_without_test_data_is_told(tmp_path, shapes, task):
    cfg = load_config(write_config(tmp_path, task, shapes))
    checkpoint = save_random(cfg, SCOPES[task], tmp_path / 'a.pth')
    cfg.test_dataloader = None
    picture = str(shapes / 'coco/train2017/000000000001.jpg')
    with pytest.raises(UserError, match='has no test_dataloader'):
        Predictor(cfg, checkpoint, 'cpu').predict(picture)
