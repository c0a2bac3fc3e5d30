"""Training and evaluating a segmentor of this project, as mmseg does it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmghost.engine.building import build_model
from mmghost.engine.launch import (
    load_config,
    prepare_test,
    prepare_train,
    run_test,
    run_train,
)
from mmghost.engine.predict import Predictor

from .toys import CLASSES, ROOT, logged, write_config

LIGHT = ROOT / 'configs/segmentation/ghostnetv2-1.0-d16_deeplabv3plus_shapes.py'
ADE = 'ade/ADEChallengeData2016'


def light(shapes: Path, work: Path, **more):
    """The light Shapes config, for two iterations on small crops."""
    options = {
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.logger.interval': 1,
        'model.data_preprocessor.size': (96, 96),
        'model.decode_head.dilations': (1, 2, 3, 4),
        'train_dataloader.dataset.pipeline.3.crop_size': (96, 96),
        'train_dataloader.batch_size': 2,
        'randomness.seed': 0,
        **{
            f'{loader}_dataloader.{key}': value
            for loader in ('train', 'val', 'test')
            for key, value in {
                'num_workers': 0,
                'dataset.data_root': str(shapes / ADE),
            }.items()
        },
        **more,
    }
    return load_config(str(LIGHT), options, str(work))


@pytest.fixture(scope='module')
def segmentor(tmp_path_factory, shapes) -> Path:
    work = tmp_path_factory.mktemp('light')
    run_train(prepare_train(light(shapes, work)))
    return work


@pytest.fixture
def score(shapes, segmentor, tmp_path):
    def run(cfg=None, tta: bool = False, **options) -> dict:
        cfg = cfg or light(shapes, tmp_path, **options)
        return run_test(prepare_test(cfg, str(segmentor / 'iter_2.pth'), tta=tta))

    return run


def test_its_test_repeats_the_validation_with_a_row_for_every_class(segmentor, score):
    metrics, log = score(), logged(segmentor)
    validated = [line for line in log.splitlines() if 'mIoU: ' in line]
    for key in ('mIoU', 'mAcc', 'aAcc'):
        assert f'{key}: {metrics[key]:.4f}' in validated[-1]
    for name in ('background', *CLASSES):
        assert re.search(rf'\|\s+{name}\s+\|', log), name


def test_a_window_over_everything_gives_what_the_whole_mode_gives(score):
    slide = dict(mode='slide', crop_size=(96, 96), stride=(96, 96))
    assert score(**{'model.test_cfg': slide}) == score()
    slide.update(crop_size=(64, 64), stride=(32, 32))
    assert 'mIoU' in score(**{'model.test_cfg': slide})


def test_scales_and_flips_are_averaged_and_one_plain_view_changes_nothing(
    shapes, tmp_path, score
):
    cfg = light(shapes, tmp_path)
    views = cfg.tta_pipeline[1].transforms
    assert (len(views[0]), len(views[1])) == (3, 2)
    assert score(tta=True)['aAcc'] > 0
    views[0] = [v for v in views[0] if v.scale_factor == 1.0]
    views[1] = [v for v in views[1] if v.prob == 0.0]
    assert score(cfg, tta=True) == score()


@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize('reduced', [True, False])
def test_submitted_label_maps_are_the_predictions_in_the_datasets_own_numbers(
    tmp_path, shapes, reduced, tta
):
    """ADE20K's server counts the classes from 1: what was taken off is put back."""
    resize, flip = "type='Resize', scale=(96, 96)", "type='RandomFlip', prob=0."
    more = f"""
for d in (train_dataset, val_dataset): d['reduce_zero_label'] = {reduced}
pipeline[1]['reduce_zero_label'] = {reduced}
model['decode_head']['num_classes'] = {9 - reduced}
val_dataset['metainfo'] = dict(classes=list('abcdefghi')[:{9 - reduced}])
tta_pipeline[1]['transforms'][:3] = [
    [dict({resize})], [dict({flip})], [dict(type='LoadAnnotations')]]
"""
    cfg = load_config(write_config(tmp_path, 'segmentation', shapes, more))
    torch.manual_seed(0)
    model = build_model(cfg)
    for parameter in model.parameters():  # a fresh head gives one class everywhere
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    checkpoint = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    predictor = Predictor(cfg, checkpoint, 'cpu')
    out = tmp_path / 'maps'
    run_test(prepare_test(cfg, checkpoint, out=str(out), tta=tta), str(out))
    files = sorted(out.iterdir())
    assert len(files) == 8
    for file in files[:2]:
        image = shapes / ADE / 'images/validation' / f'{file.stem}.jpg'
        predicted = predictor.predict(str(image)).pred_sem_seg.data[0].numpy()
        written = np.asarray(Image.open(file))
        assert written.dtype == np.uint8
        assert len(np.unique(predicted)) > 1
        assert np.array_equal(written, predicted + reduced)
