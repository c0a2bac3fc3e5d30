"""Training and evaluating a segmentor through the doors, as mmseg does it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from mmghost.engine import launch
from mmghost.engine.launch import (
    load_config,
    prepare_test,
    prepare_train,
    run_test,
    run_train,
    set_distributed,
)
from mmghost.engine.predict import Predictor

from .toys import CLASSES, ROOT, write_config

LIGHT = ROOT / 'configs/segmentation/ghostnetv2-1.0-d16_deeplabv3plus_shapes.py'
ALIAS = ROOT / 'configs/deeplabv3_ghostnetv2_ade20k.py'
ADE = 'ade/ADEChallengeData2016'


def light(shapes: Path, work: Path, **more) -> Config:
    """The light Shapes config, for two iterations on small crops."""
    options = {
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.logger.interval': 1,
        'model.data_preprocessor.size': (96, 96),
        'model.decode_head.dilations': (1, 2, 3, 4),
        'train_pipeline.3.crop_size': (96, 96),
        'train_dataloader.dataset.pipeline.3.crop_size': (96, 96),
        'train_dataloader.batch_size': 2,
        'randomness.seed': 0,
        **{
            f'{loader}_dataloader.{key}': value
            for loader in ('train', 'val', 'test')
            for key, value in {
                'num_workers': 0,
                'persistent_workers': False,
                'dataset.data_root': str(shapes / ADE),
            }.items()
        },
        **more,
    }
    return load_config(str(LIGHT), options, str(work))


@pytest.fixture(scope='module')
def trained(tmp_path_factory, shapes) -> Path:
    work = tmp_path_factory.mktemp('light')
    run_train(prepare_train(light(shapes, work)))
    return work


def evaluate(shapes: Path, trained: Path, work: Path, options=None, **flags) -> dict:
    cfg = light(shapes, work, **(options or {}))
    return run_test(prepare_test(cfg, str(trained / 'iter_2.pth'), **flags))


def logged(work: Path) -> str:
    return '\n'.join(path.read_text() for path in sorted(work.rglob('*.log')))


def test_the_light_config_trains_and_its_test_repeats_the_validation(
    shapes, trained, tmp_path
):
    metrics = evaluate(shapes, trained, tmp_path)
    assert set(metrics) >= {'mIoU', 'mAcc', 'aAcc'}
    validated = [line for line in logged(trained).splitlines() if 'mIoU: ' in line]
    for key in ('mIoU', 'mAcc', 'aAcc'):
        assert f'{key}: {metrics[key]:.4f}' in validated[-1]


def test_every_class_has_a_row_in_the_table(shapes, trained):
    log = logged(trained)
    for name in ('background', *CLASSES):
        assert re.search(rf'\|\s+{name}\s+\|', log), name


def test_a_window_over_everything_gives_what_the_whole_mode_gives(
    shapes, trained, tmp_path
):
    whole = evaluate(shapes, trained, tmp_path / 'whole')
    slide = dict(mode='slide', crop_size=(96, 96), stride=(96, 96))
    options = {'model.test_cfg': slide}
    assert evaluate(shapes, trained, tmp_path / 'slide', options) == whole
    options = {'model.test_cfg': dict(slide, crop_size=(64, 64), stride=(32, 32))}
    assert 'mIoU' in evaluate(shapes, trained, tmp_path / 'small', options)


def test_scales_and_flips_are_averaged_and_one_plain_view_changes_nothing(
    shapes, trained, tmp_path
):
    whole = evaluate(shapes, trained, tmp_path / 'whole')
    several = evaluate(shapes, trained, tmp_path / 'tta', tta=True)
    assert several['aAcc'] > 0
    cfg = light(shapes, tmp_path / 'one')
    views = cfg.tta_pipeline[1].transforms
    assert (len(views[0]), len(views[1])) == (3, 2)
    views[0] = [v for v in views[0] if v.scale_factor == 1.0]
    views[1] = [v for v in views[1] if v.prob == 0.0]
    prepare_test(cfg, str(trained / 'iter_2.pth'), tta=True)
    assert run_test(cfg) == whole


def random_checkpoint(cfg: Config, path: Path) -> str:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for parameter in model.parameters():  # fresh heads are too sure of nothing
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)


@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize('reduced', [True, False])
def test_submitted_label_maps_are_the_predictions_in_the_data_sets_own_numbers(
    tmp_path, shapes, reduced, tta
):
    """ADE20K's server counts the classes from 1: what was taken off is put back."""
    more = (
        ''
        if reduced
        else (
            "for d in (train_dataset, val_dataset): d['reduce_zero_label'] = False\n"
            "pipeline[1]['reduce_zero_label'] = False\n"
            "model['decode_head']['num_classes'] = 9\n"
            "val_dataset['metainfo'] = dict(classes=['none', *val_dataset['metainfo']['classes']])"
        )
    )
    more += "\ntta_pipeline[1]['transforms'][0] = [dict(type='Resize', scale=(96, 96))]"
    more += "\ntta_pipeline[1]['transforms'][1] = [dict(type='RandomFlip', prob=0.)]"
    more += "\ntta_pipeline[1]['transforms'][2] = [dict(type='LoadAnnotations')]"
    cfg = load_config(write_config(tmp_path, 'segmentation', shapes, more))
    checkpoint = random_checkpoint(cfg, tmp_path / 'a.pth')
    predictor = Predictor(cfg, checkpoint, 'cpu')
    out = tmp_path / 'maps'
    run_test(prepare_test(cfg, checkpoint, out=str(out), tta=tta), str(out))
    files = sorted(out.iterdir())
    assert len(files) == 8
    for file in files[:2]:
        picture = shapes / ADE / 'images/validation' / f'{file.stem}.jpg'
        predicted = predictor.predict(str(picture)).pred_sem_seg.data[0].numpy()
        written = np.asarray(Image.open(file))
        assert written.dtype == np.uint8
        assert len(np.unique(predicted)) > 1
        assert np.array_equal(written, predicted + reduced)


def test_processes_on_the_cpu_have_a_syncbn_of_ours_where_the_config_asks_for_it(
    monkeypatch,
):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    cfg = load_config(str(ALIAS), {'model.decode_head.norm_cfg.type': 'SyncBN'})
    set_distributed(cfg, 'none')
    assert cfg.sync_bn == 'torch'  # mmengine heeds it only where there are several
    set_distributed(cfg, 'pytorch')
    assert cfg.sync_bn is None  # torch's, which refuses a CPU
    assert cfg.model_wrapper_cfg.type == 'CPUSyncDataParallel'
    assert cfg.model.decode_head.norm_cfg.type == 'CPUSyncBN'
