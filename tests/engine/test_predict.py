"""Predictions and images of them for the three tasks."""

import re
import warnings

import mmcv
import numpy as np
import pytest
from mmengine.visualization import Visualizer
from PIL import Image

from mmghost.engine.launch import load_config
from mmghost.engine.predict import Predictor, find_images, output_paths
from mmghost.errors import UserError

from .toys import CLASSES, TASKS

IMAGE = 'coco/train2017/000000000001.jpg'


def predictor(trained, task: str, **options) -> Predictor:
    path, work = trained[task]
    return Predictor(load_config(path, options), str(work / 'iter_4.pth'), 'cpu')


@pytest.mark.parametrize('task', TASKS)
def test_the_prediction_is_drawn_on_the_image(tmp_path, shapes, trained, task):
    image, out = str(shapes / IMAGE), tmp_path / 'sub' / 'seen.png'
    with warnings.catch_warnings(record=True) as told:
        words = predictor(trained, task).draw(image, str(out), score_thr=0.0)
    assert not [entry for entry in told if 'out of bounds' in str(entry.message)]
    drawn = np.asarray(Image.open(out).convert('RGB')).astype(int)
    original = np.asarray(Image.open(image).convert('RGB')).astype(int)
    assert drawn.shape == original.shape
    assert np.abs(drawn - original).max() > 30
    assert {
        'detection': words == '10 objects of score >= 0',
        'segmentation': set(words[8:].split(', ')) <= set(CLASSES),
        'classification': words.split(' (')[0] in CLASSES,
    }[task], words


def test_boxes_below_the_threshold_are_not_drawn(tmp_path, shapes, trained):
    image, out = str(shapes / IMAGE), str(tmp_path / 'a.png')
    words = predictor(trained, 'detection').draw(image, out, score_thr=1.1)
    assert words == '0 objects of score >= 1.1'
    # Not the image itself: older releases of matplotlib, which draws, move it a little.
    empty = Visualizer()
    empty.set_image(mmcv.imread(image, channel_order='rgb'))
    assert np.array_equal(mmcv.imread(out, channel_order='rgb'), empty.get_image())


def test_classes_without_names_are_numbers(tmp_path, shapes, trained):
    segmentor = predictor(trained, 'segmentation')
    segmentor.classes = None
    words = segmentor.draw(str(shapes / IMAGE), str(tmp_path / 'a.png'))
    assert re.fullmatch(r'classes \d+(, \d+)*', words)


def test_weights_of_another_width_are_refused(trained):
    with pytest.raises(UserError, match='of another width'):
        predictor(trained, 'detection', **{'model.backbone.widen_factor': 0.5})


def test_a_data_preprocessor_beside_the_model_is_used(trained):
    """mmpretrain's configs have mean and std there."""
    path, work = trained['classification']
    cfg = load_config(path)
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')
    model = Predictor(cfg, str(work / 'iter_4.pth'), 'cpu').model
    assert model.data_preprocessor.mean.flatten().tolist() == [128.0] * 3


@pytest.mark.parametrize('task', TASKS)
def test_a_config_without_test_data_is_refused(trained, task):
    with pytest.raises(UserError, match='has no test_dataloader'):
        predictor(trained, task, test_dataloader=None)


def test_a_device_that_is_not_there_is_refused(trained):
    path, work = trained['classification']
    with pytest.raises(UserError, match='--device cuda:99'):
        Predictor(load_config(path), str(work / 'iter_4.pth'), 'cuda:99')


# Paths ---------------------------------------------------------------------------------


def test_a_folder_of_images_becomes_a_folder_of_images(tmp_path, shapes):
    source = str(shapes / 'imagenet' / 'val')
    found = find_images(source)
    outputs = output_paths(source, found, str(tmp_path / 'seen'))
    assert len(set(outputs)) == len(found) == 8
    assert outputs[0] == str(tmp_path / 'seen' / 'circle' / '000001.png')


def test_images_that_differ_in_their_suffix_only_get_names_of_their_own(tmp_path):
    for name in ('a.jpg', 'a.png', 'b.jpg'):
        Image.new('RGB', (4, 4)).save(tmp_path / name)
    outputs = output_paths(str(tmp_path), find_images(str(tmp_path)), 'out')
    assert outputs == ['out/a.jpg.png', 'out/a.png.png', 'out/b.png']


def test_one_image_goes_into_a_file_or_into_a_folder_that_is_there(tmp_path):
    assert output_paths('x/a.jpg', ['x/a.jpg'], 'out.png') == ['out.png']
    assert output_paths('x/a.jpg', ['x/a.jpg'], 'out') == ['out.png']
    assert output_paths('x/a.jpg', ['x/a.jpg'], str(tmp_path)) == [f'{tmp_path}/a.png']
    with pytest.raises(
        UserError, match=r'--out one\.png: name a folder for the images'
    ):
        output_paths(str(tmp_path), ['a.jpg', 'b.jpg'], 'one.png')
    with pytest.raises(UserError, match='images end in'):
        output_paths('x/a.jpg', ['x/a.jpg'], 'out.txt')


def test_images_that_are_not_there_or_not_whole_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match='holds no images'):
        find_images(str(tmp_path))
    image = tmp_path / 'a.jpg'
    Image.new('RGB', (64, 64)).save(image)
    image.write_bytes(image.read_bytes()[:-100])
    with pytest.raises(UserError, match=r'a\.jpg is'):
        find_images(str(tmp_path))
    with pytest.raises(
        UserError, match=r'no such image or folder; did you mean a\.jpg'
    ):
        find_images(str(tmp_path / 'a.jpeg'))
