"""One command line for three toolboxes: flags, training, resuming, evaluating."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmghost.engine import launch
from mmghost.engine.building import build_model
from mmghost.engine.launch import (
    load_config,
    prepare_test,
    prepare_train,
    run_test,
)
from mmghost.engine.predict import Predictor
from mmghost.errors import UserError

from .toys import CLASSES, ROOT, evaluate, logged, state, train, write_config

METRIC = {
    'detection': 'coco/bbox_mAP',
    'segmentation': 'mIoU',
    'classification': 'accuracy/top1',
}
TASKS = tuple(METRIC)
EARLIER = ('iter_4.pth', 'best_top1_iter_2.pth', 'last_checkpoint')


@pytest.fixture
def toy(tmp_path, shapes):
    """Write a config for a task; return its path."""
    return lambda task='classification', more='': write_config(
        tmp_path, task, shapes, more
    )


# Training ------------------------------------------------------------------------------


@pytest.mark.parametrize('task', TASKS)
def test_a_training_logs_and_checkpoints_and_its_test_repeats_the_validation(
    trained, task
):
    path, work = trained[task]
    assert {p.name for p in work.glob('*.pth')} == {'iter_2.pth', 'iter_4.pth'}
    assert 'preflight: ' in logged(work)
    before, after = state(work / 'iter_2.pth'), state(work / 'iter_4.pth')
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert any(name.startswith('backbone.') for name in moved)

    metrics = evaluate(path, work / 'iter_4.pth')
    (scalars,) = work.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    (during,) = [line[METRIC[task]] for line in lines if METRIC[task] in line]
    assert metrics[METRIC[task]] == pytest.approx(during, abs=1e-9)


def test_lr_is_scaled_by_the_batch_size(toy, tmp_path):
    options = {'auto_scale_lr.base_batch_size': 8, 'param_scheduler': []}
    train(toy(), {**options, 'train_cfg.max_iters': 2}, auto_scale_lr=True)
    (group,) = state(tmp_path / 'work' / 'iter_2.pth', 'optimizer')['param_groups']
    assert group['lr'] == pytest.approx(0.01 * 2 / 8)


def test_without_validation_nothing_is_evaluated(toy, tmp_path):
    train(toy(), no_validate=True)
    assert 'accuracy/top1' not in logged(tmp_path / 'work')


def test_a_new_training_keeps_the_checkpoints_of_an_earlier_one(toy, tmp_path):
    path, work = toy(), tmp_path / 'work'
    train(path, {'randomness.seed': 1})
    first = state(work / 'iter_4.pth')
    train(path, {'randomness.seed': 2})
    (earlier,) = work.glob('earlier_*')
    kept = state(earlier / 'iter_4.pth')
    assert all(torch.equal(value, kept[name]) for name, value in first.items())
    name = 'head.fc.weight'
    assert not torch.equal(kept[name], state(work / 'iter_4.pth')[name])


@pytest.mark.parametrize(
    'settings',
    [{'train_dataloader.dataset.data_root': 'nowhere'}, {'model.backbone.widen': 2}],
    ids=['data', 'model'],
)
def test_a_training_that_cannot_begin_loses_nothing(toy, tmp_path, settings):
    work = tmp_path / 'work'
    work.mkdir()
    for name in EARLIER:
        (work / name).write_text('of an earlier training')
    with pytest.raises((UserError, TypeError), match=r'nowhere|widen'):
        train(toy(), settings)
    for name in EARLIER:
        assert (work / name).read_text() == 'of an earlier training'


# No MMGhost runtime: the hooks of mmpretrain alone, and another backbone.
PLAIN = """
model['backbone'] = dict(type='MobileNetV2', widen_factor=0.25)
model['head']['in_channels'] = 1280
default_hooks = None
custom_hooks = [dict(type='CheckpointHook', by_epoch=False, interval=4)]
"""


def test_a_config_without_mmghost_trains_and_its_checkpoint_is_checked(toy, tmp_path):
    path = Path(toy(more=PLAIN))
    text = path.read_text().replace('_base_ = ', '# ')
    path.write_text(f"default_scope = 'mmpretrain'\n{text}")
    train(str(path))
    options = {'model.backbone.widen_factor': 0.5}
    with pytest.raises(UserError, match='does not fit this model'):
        evaluate(str(path), tmp_path / 'work' / 'iter_4.pth', options)


def test_no_workers_work_although_the_config_keeps_them_alive(toy, tmp_path):
    """Issue 19, 9: torch refuses persistent workers and prefetching without workers."""
    path = toy(
        'classification',
        'for loader in (train_dataloader, val_dataloader):\n'
        '    loader.update(num_workers=2, persistent_workers=True, prefetch_factor=2)',
    )
    loaders = ('train', 'val', 'test')
    options = {f'{loader}_dataloader.num_workers': 0 for loader in loaders}
    train(path, {**options, 'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2})
    assert evaluate(path, tmp_path / 'work' / 'iter_2.pth', options)


def test_a_hook_set_to_none_is_left_out(toy, tmp_path):
    """Issue 19, 20: mmengine does so for its own hooks and fails for others."""
    hooks = {f'default_hooks.{n}': None for n in ('finite', 'preflight', 'timer')}
    train(toy(), hooks)
    text = logged(tmp_path / 'work')
    assert 'ExactResumeHook' in text
    assert not any(n in text for n in ('FiniteHook', 'PreflightHook', 'IterTimerHook'))


# Flags ---------------------------------------------------------------------------------


def test_work_dir_is_the_flag_before_the_config_before_the_name(toy, tmp_path):
    path = toy()
    assert load_config(path, work_dir='mine').work_dir == 'mine'
    assert load_config(path).work_dir == str(tmp_path / 'work')
    named = load_config(path, {'work_dir': None}).work_dir
    assert named == f'work_dirs/{Path(path).stem}'


@pytest.mark.parametrize(
    ('wrapper', 'device', 'amp', 'used'),
    [
        ('OptimWrapper', 'cuda', True, 'AmpOptimWrapper'),
        ('AmpOptimWrapper', 'cuda', True, 'AmpOptimWrapper'),
        ('AmpOptimWrapper', 'cpu', False, 'OptimWrapper'),
        ('AmpOptimWrapper', 'mps', False, 'OptimWrapper'),
    ],
)
def test_mixed_precision_is_used_where_there_is_a_gpu(
    toy, monkeypatch, wrapper, device, amp, used
):
    monkeypatch.setattr(launch, 'get_device', lambda: device)
    more = f"optim_wrapper.update(type='{wrapper}')"
    wrapped = prepare_train(load_config(toy(more=more)), amp=amp).optim_wrapper
    assert wrapped.type == used


@pytest.mark.parametrize(
    ('wrapper', 'device', 'words'),
    [
        ('OptimWrapper', 'cpu', '--amp needs a GPU'),
        ('SomeOptimWrapper', 'cuda', 'the config has SomeOptimWrapper'),
    ],
)
def test_mixed_precision_that_cannot_be_had_is_refused(
    toy, monkeypatch, wrapper, device, words
):
    monkeypatch.setattr(launch, 'get_device', lambda: device)
    cfg = load_config(toy(), {'optim_wrapper.type': wrapper})
    with pytest.raises(UserError, match=words):
        prepare_train(cfg, amp=True)


def test_classification_gets_the_loader_defaults_of_mmpretrain(toy, monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    cfg = load_config(toy(), {'train_dataloader.num_workers': 2})
    loader = cfg.train_dataloader
    assert loader.pin_memory is True and loader.persistent_workers is True
    assert loader.collate_fn == dict(type='default_collate')
    assert cfg.val_dataloader.persistent_workers is False  # it has no workers
    prepare_train(cfg, no_pin_memory=True, no_persistent_workers=True)
    assert loader.pin_memory is False and loader.persistent_workers is False
    assert 'collate_fn' not in load_config(toy('detection')).train_dataloader


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (
            "default_scope = 'mmpose'\nmodel = dict()",
            'mmpose.*mmdet, mmseg, mmpretrain',
        ),
        ("default_scope = 'mmdet'", 'has no model'),
        ("default_scope = 'mmdet'\nmodel = dict()", 'has no train_dataloader'),
    ],
    ids=['scope', 'base', 'no data'],
)
def test_a_config_that_cannot_train_is_refused(tmp_path, text, words):
    path = tmp_path / 'c.py'
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        prepare_train(load_config(str(path)))


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        (
            'configs/retinanet_ghostnet2_coco.py',
            r'did you mean .*retinanet_ghostnetv2_coco\.py',
        ),
        ('configs/nothing_like_it.py', 'no such file$'),
    ],
)
def test_an_unknown_config_is_answered_with_similar_names(monkeypatch, path, words):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=words):
        load_config(path)


@pytest.mark.parametrize(
    ('key', 'words'),
    [
        ('trian_cfg.max_iters', 'no trian_cfg; did you mean train_cfg'),
        ('param_scheduler.7.type', r'do not fit .*Index 7'),
        ('work_dir.x', 'do not fit'),
    ],
)
def test_an_option_that_leads_nowhere_is_refused(toy, key, words):
    with pytest.raises(UserError, match=f'--cfg-options.*{words}'):
        load_config(toy(), {key: 1})


def test_processes_that_nobody_numbered_are_refused_without_a_gpu(toy, monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    monkeypatch.delenv('RANK', raising=False)
    cfg = load_config(toy())
    with pytest.raises(UserError, match=r'--launcher slurm needs GPUs; .*torchrun'):
        prepare_train(cfg, launcher='slurm')


def test_scaling_lr_without_a_base_batch_size_is_refused(toy):
    cfg = load_config(toy(more='del auto_scale_lr'))
    with pytest.raises(UserError, match='base_batch_size=N'):
        prepare_train(cfg, auto_scale_lr=True)


# Evaluating ----------------------------------------------------------------------------


def test_predictions_are_dumped_to_a_pickle_file(trained, tmp_path):
    path, work = trained['detection']
    out = tmp_path / 'out.pkl'
    evaluate(path, work / 'iter_4.pth', out=str(out))
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 8
    assert predictions[0]['pred_instances']['bboxes'].shape[1] == 4


@pytest.mark.parametrize('reduced', [True, False])
def test_label_maps_are_written_in_the_numbers_of_the_dataset(
    toy, tmp_path, shapes, reduced
):
    """ADE20K's server counts the classes from 1: what was taken off is put back."""
    more = f"""
for d in (train_dataset, val_dataset): d['reduce_zero_label'] = {reduced}
pipeline[1]['reduce_zero_label'] = {reduced}
model['decode_head']['num_classes'] = {9 - reduced}
val_dataset['metainfo'] = dict(classes=list('abcdefghi')[:{9 - reduced}])
"""
    path = toy('segmentation', more)
    torch.manual_seed(0)
    model = build_model(load_config(path))
    for parameter in model.parameters():  # a fresh head gives one class everywhere
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    checkpoint, out = tmp_path / 'a.pth', tmp_path / 'maps'
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    evaluate(path, checkpoint, out=str(out))
    files = sorted(out.iterdir())
    assert len(files) == 8
    predictor = Predictor(load_config(path), str(checkpoint), 'cpu')
    images = shapes / 'ade/ADEChallengeData2016/images/validation'
    sample = predictor.predict(str(images / f'{files[0].stem}.jpg'))
    predicted = sample.pred_sem_seg.data[0].numpy()
    assert len(np.unique(predicted)) > 1
    assert np.array_equal(np.asarray(Image.open(files[0])), predicted + reduced)


@pytest.mark.parametrize(
    ('task', 'flags', 'words'),
    [
        ('detection', dict(out='a.json'), r'\.pkl or \.pickle'),
        ('detection', dict(out='a.pkl', out_item='pred'), 'for classification'),
        ('classification', dict(out_item='pred'), '--out FILE'),
        ('segmentation', dict(out=__file__), 'go into a folder'),
        ('detection', dict(show=True), 'needs a display'),
        ('detection', dict(amp=True), '--amp needs a GPU'),
    ],
)
def test_a_flag_that_does_not_fit_is_refused(trained, monkeypatch, task, flags, words):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(launch.sys, 'platform', 'linux')
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    path, work = trained[task]
    with pytest.raises(UserError, match=words):
        prepare_test(load_config(path), str(work / 'iter_4.pth'), **flags)


@pytest.mark.parametrize('task', TASKS)
def test_test_time_augmentation_runs_on_the_weights_of_the_model(trained, task):
    path, work = trained[task]
    assert METRIC[task] in evaluate(path, work / 'iter_4.pth', tta=True)


def test_several_test_sets_in_one_are_refused_where_one_pipeline_is_needed(toy):
    cfg = load_config(toy('detection'))
    part = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[part, part])
    with pytest.raises(UserError, match='is a ConcatDataset'):
        launch.get_test_dataset(cfg)


@pytest.mark.parametrize('task', TASKS)
def test_images_of_the_predictions_are_kept(trained, tmp_path, task, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, work = trained[task]
    cfg = load_config(path, work_dir=str(tmp_path / 'work'))
    prepare_test(cfg, str(work / 'iter_4.pth'), show_dir='seen', interval=1)
    names = []
    monkeypatch.setattr(launch, 'use_font_for', names.extend)
    run_test(cfg)
    assert sorted(names) == sorted(CLASSES)  # in a font that has their letters
    found = [p for p in tmp_path.rglob('*') if p.suffix in ('.png', '.jpg')]
    # mmpretrain names them by the file alone, and ours are 000001.jpg of every class.
    assert len(found) == (1 if task == 'classification' else 8)
    place = {'detection': cfg.work_dir, 'segmentation': 'seen/vis_data/vis_image'}
    assert all(p.is_relative_to(tmp_path / place.get(task, 'seen')) for p in found)
