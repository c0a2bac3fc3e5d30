"""Predictions and images of them for the three tasks."""

import runpy
import warnings
from pathlib import Path

import matplotlib
import mmcv
import numpy as np
import pytest
import torch
from fontTools.ttLib import TTFont
from mmengine.visualization import Visualizer
from PIL import Image

from mmghost.engine import fonts
from mmghost.engine.building import build_model
from mmghost.engine.launch import load_config
from mmghost.engine.predict import Predictor
from mmghost.errors import UserError

from .toys import CLASSES, ROOT, TASKS, write_config

IMAGE = 'coco/train2017/000000000001.jpg'
DEMO = runpy.run_path(str(ROOT / 'tools' / 'image_demo.py'))


def predictor(trained, task: str, **options) -> Predictor:
    path, work = trained[task]
    return Predictor(load_config(path, options), str(work / 'iter_4.pth'), 'cpu')


def untrained(path: str, classes: tuple, **weights: torch.Tensor) -> Predictor:
    """Return a predictor of a config with random weights but for some."""
    cfg, checkpoint = load_config(path), Path(path).with_suffix('.pth')
    state = build_model(cfg).state_dict()
    state |= {name.replace('__', '.'): value for name, value in weights.items()}
    meta = dict(dataset_meta=dict(classes=classes, palette=[[9, 9, 9]] * len(classes)))
    torch.save(dict(state_dict=state, meta=meta), checkpoint)
    return Predictor(cfg, str(checkpoint), 'cpu')


def summary(predictor: Predictor, sample, score_thr: float = 0.3) -> str:
    result = DEMO['to_result'](predictor, sample)
    return result.summary(list(predictor.classes or ()), score_thr)


@pytest.mark.parametrize('task', TASKS)
def test_the_prediction_is_drawn_on_the_image(shapes, trained, task):
    ours, image = predictor(trained, task), str(shapes / IMAGE)
    sample = ours.predict(image)
    with warnings.catch_warnings(record=True) as told:
        drawn = ours.draw(image, sample, score_thr=0.0).astype(int)
    assert not [entry for entry in told if 'out of bounds' in str(entry.message)]
    original = np.asarray(Image.open(image).convert('RGB')).astype(int)
    assert drawn.shape == original.shape
    assert np.abs(drawn - original).max() > 30
    words = summary(ours, sample, 0.0)
    assert {
        'detection': words == '10 objects of score >= 0',
        'segmentation': words[8:].split(' ')[0] in CLASSES,
        'classification': words.split(' (')[0] in CLASSES,
    }[task], words


@pytest.mark.parametrize('task', TASKS)
def test_a_batch_and_frames_give_what_each_image_gives_alone(shapes, trained, task):
    ours, images = predictor(trained, task), sorted((shapes / 'coco/val2017').iterdir())
    frames = [mmcv.imread(str(path)) for path in images[:3]]
    for path, sample in zip(images[:3], ours.predict_batch(frames), strict=True):
        alone = ours.predict(str(path))
        a, b = (DEMO['to_result'](ours, s).to_dict([]) for s in (alone, sample))
        for key in a:
            # Batched convolutions add in another order.
            assert np.allclose(a[key], b[key], atol=1e-4) if key != 'classes' else True


def test_boxes_below_the_threshold_are_not_drawn(shapes, trained):
    ours, image = predictor(trained, 'detection'), str(shapes / IMAGE)
    sample = ours.predict(image)
    assert summary(ours, sample, 1.1) == '0 objects of score >= 1.1'
    # Not the image itself: older releases of matplotlib, which draws, move it a little.
    empty = Visualizer()
    empty.set_image(mmcv.imread(image, channel_order='rgb'))
    assert np.array_equal(ours.draw(image, sample, 1.1), empty.get_image())


MULTI_LABEL = """
model['head'] = dict(
    type='MultiLabelLinearClsHead', num_classes=8, in_channels=40, thr={thr},
    loss=dict(type='CrossEntropyLoss', use_sigmoid=True))
"""


@pytest.mark.parametrize(
    ('thr', 'words'),
    [
        (0.5, 'crescent (0.62), heart (0.88)'),
        (0.8, 'heart (0.88)'),
        (0.9, 'no class reaches the threshold of the head'),
    ],
)
def test_all_labels_of_a_multi_label_classifier_are_named(tmp_path, shapes, thr, words):
    """Issue 19, 8: the first label was named with the score of another."""
    bias = torch.tensor([-9.0, 0.5, -9.0, 2.0, -9.0, -9.0, -9.0, -9.0])
    head = dict(head__fc__weight=torch.zeros(8, 40), head__fc__bias=bias)
    more = MULTI_LABEL.format(thr=thr)
    ours = untrained(
        write_config(tmp_path, 'classification', shapes, more), CLASSES, **head
    )
    sample = ours.predict(str(shapes / IMAGE))
    assert summary(ours, sample) == words
    assert ours.draw(str(shapes / IMAGE), sample, 0.3).shape == (96, 96, 3)


BINARY = """
model['decode_head'].update(
    num_classes=2, out_channels=1, threshold=0.5,
    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))
"""


@pytest.mark.parametrize('bias', [-3.0, 3.0])
def test_a_binary_segmentation_by_sigmoid_is_named_and_drawn(tmp_path, shapes, bias):
    """Issue 19, 8: its label map holds floats."""
    head = dict(
        decode_head__conv_seg__weight=torch.zeros(1, 16, 1, 1),
        decode_head__conv_seg__bias=torch.tensor([bias]),
    )
    path = write_config(tmp_path, 'segmentation', shapes, BINARY)
    ours = untrained(path, ('background', 'nucleus'), **head)
    sample = ours.predict(str(shapes / IMAGE))
    name = 'nucleus' if bias > 0 else 'background'
    assert summary(ours, sample) == f'classes {name} 100.0%'
    assert ours.draw(str(shapes / IMAGE), sample, 0.3).shape == (96, 96, 3)


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


def test_a_config_without_test_data_is_refused(trained):
    with pytest.raises(UserError, match='has no test_dataloader'):
        predictor(trained, 'detection', test_dataloader=None)


def test_a_device_that_is_not_there_is_refused(trained):
    path, work = trained['classification']
    with pytest.raises(UserError, match='--device cuda:99'):
        Predictor(load_config(path), str(work / 'iter_4.pth'), 'cuda:99')


# Class names in Chinese ----------------------------------------------------------------


@pytest.fixture
def font(tmp_path) -> str:
    """Write matplotlib's font with an A for each of three Chinese letters."""
    manager = fonts.font_manager
    font = TTFont(manager.findfont(manager.FontProperties()))
    for table in font['cmap'].tables:
        if table.isUnicode():
            table.cmap.update(dict.fromkeys(map(ord, '猫狗鸟'), 'A'))
    for record in font['name'].names:
        record.string = 'Animals'
    font.save(tmp_path / 'animals.ttf')
    return str(tmp_path / 'animals.ttf')


@pytest.mark.parametrize('task', TASKS)
def test_chinese_names_are_drawn_in_an_installed_font(
    shapes, trained, task, font, monkeypatch
):
    """Issue 19, 19: matplotlib warns of each letter that it draws as an empty box."""
    monkeypatch.setattr(fonts.font_manager, 'findSystemFonts', lambda: [font])
    ours, image = predictor(trained, task), str(shapes / IMAGE)
    sample, english = ours.predict(image), ours.classes
    plain = ours.draw(image, sample, 0.0)
    ours.classes = ours.visualizer.dataset_meta['classes'] = ['猫狗鸟'] * len(english)
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings('error', 'Glyph')
        fonts.use_font_for(ours.classes)
        drawn = ours.draw(image, sample, 0.0)
    assert not np.array_equal(plain, drawn)


def test_without_a_font_one_warning_has_the_remedy(monkeypatch):
    said = []
    monkeypatch.setattr(fonts.font_manager, 'findSystemFonts', list)
    monkeypatch.setattr(fonts, 'print_log', lambda text, *_, **__: said.append(text))
    fonts.use_font_for(['cat', 'Größe', 'мышь'])  # matplotlib's own font has these
    assert not said
    fonts.use_font_for(['猫'])
    assert '猫' in said[0] and 'fonts-noto-cjk' in said[0]
