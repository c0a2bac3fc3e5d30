"""One door for three toolboxes: flags, training, resuming, evaluating."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmghost.engine import launch
from mmghost.engine.launch import (
    load_config,
    prepare_test,
    prepare_train,
    run_test,
    run_train,
)
from mmghost.engine.predict import shown_in
from mmghost.errors import UserError

from .toys import ROOT, forget_runners, write_config

METRIC = {
    'detection': 'coco/bbox_mAP',
    'segmentation': 'mIoU',
    'classification': 'accuracy/top1',
}
TASKS = tuple(METRIC)


def train(path: str, cfg_options: dict | None = None, **flags) -> Config:
    cfg = prepare_train(load_config(path, cfg_options), **flags)
    run_train(cfg)
    return cfg


def weights(work: Path, name: str) -> dict:
    return torch.load(work / name, weights_only=False)['state_dict']


def logged(work: Path) -> str:
    return '\n'.join(path.read_text() for path in sorted(work.rglob('*.log')))


@pytest.fixture(scope='module')
def trained(tmp_path_factory, shapes) -> dict[str, tuple[str, Path]]:
    """Config and work_dir of one short training a task."""
    found = {}
    for task in TASKS:
        folder = tmp_path_factory.mktemp(task)
        path = write_config(folder, task, shapes)
        train(path)
        forget_runners()  # so that a test passes alone, too
        found[task] = path, folder / 'work'
    return found


@pytest.mark.parametrize('task', TASKS)
def test_a_training_logs_evaluates_and_checkpoints(trained, task):
    _, work = trained[task]
    assert {path.name for path in work.glob('*.pth')} == {'iter_2.pth', 'iter_4.pth'}
    text = logged(work)
    assert METRIC[task] in text
    maps = ' and label maps' if task == 'segmentation' else ''
    assert f' pictures{maps} named, ' in text
    before, after = weights(work, 'iter_2.pth'), weights(work, 'iter_4.pth')
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert any(name.startswith('backbone.') for name in moved)


@pytest.mark.parametrize('task', TASKS)
def test_an_evaluation_repeats_the_metric_of_the_training(trained, task):
    path, work = trained[task]
    checkpoint = str(work / 'iter_4.pth')
    metrics = run_test(prepare_test(load_config(path), checkpoint))
    (scalars,) = work.rglob('vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    (during,) = [line[METRIC[task]] for line in lines if METRIC[task] in line]
    assert metrics[METRIC[task]] == pytest.approx(during, abs=1e-9)


@pytest.mark.parametrize('task', TASKS)
def test_resuming_ends_in_the_very_weights_of_an_uninterrupted_run(
    tmp_path, shapes, trained, task
):
    _, work = trained[task]
    path = write_config(tmp_path, task, shapes)
    train(path, {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2})
    cfg = train(path, resume='auto')
    assert cfg.load_from == str(tmp_path / 'work' / 'iter_2.pth')
    resumed = weights(tmp_path / 'work', 'iter_4.pth')
    for name, value in weights(work, 'iter_4.pth').items():
        # The same operations in the same order on the same machine.
        assert torch.equal(value, resumed[name]), name


def test_resuming_takes_the_last_whole_checkpoint_and_says_so(
    tmp_path, shapes, trained
):
    path = write_config(tmp_path, 'classification', shapes)
    train(path)
    work = tmp_path / 'work'
    cut = work / 'iter_4.pth'
    cut.write_bytes(cut.read_bytes()[:-1000])
    cfg = train(path, resume='auto')
    assert cfg.load_from == str(work / 'iter_2.pth')
    whole = weights(trained['classification'][1], 'iter_4.pth')
    again = weights(work, 'iter_4.pth')
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_resuming_without_a_checkpoint_starts_from_the_beginning(tmp_path, shapes):
    cfg = load_config(write_config(tmp_path, 'classification', shapes))
    prepare_train(cfg, resume='auto')
    assert (cfg.resume, cfg.load_from) == (False, None)


def test_resuming_from_weights_without_a_training_state_is_refused(
    tmp_path, shapes, trained
):
    _, work = trained['classification']
    torch.save({'state_dict': weights(work, 'iter_4.pth')}, tmp_path / 'bare.pth')
    path = write_config(tmp_path, 'classification', shapes)
    with pytest.raises(UserError, match=r'no state of a training.*load_from='):
        train(path, resume=str(tmp_path / 'bare.pth'))


@pytest.mark.parametrize(
    ('content', 'words'),
    [(None, 'there is no such file'), (b'PK', 'was cut short')],
    ids=['missing', 'cut'],
)
def test_resuming_from_a_bad_path_is_refused_at_once(tmp_path, shapes, content, words):
    cfg = load_config(write_config(tmp_path, 'classification', shapes))
    path = tmp_path / 'iter_9.pth'
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        prepare_train(cfg, resume=str(path))


def test_a_new_training_in_the_same_folder_keeps_the_earlier_checkpoints(
    tmp_path, shapes
):
    path = write_config(tmp_path, 'classification', shapes)
    train(path, {'randomness.seed': 1})
    work = tmp_path / 'work'
    first = weights(work, 'iter_4.pth')
    train(path, {'randomness.seed': 2})
    (earlier,) = work.glob('earlier_*')
    kept = weights(earlier, 'iter_4.pth')
    assert all(torch.equal(value, kept[name]) for name, value in first.items())
    assert not torch.equal(
        kept['head.fc.weight'], weights(work, 'iter_4.pth')['head.fc.weight']
    )


@pytest.mark.parametrize(
    'fault',
    [
        {'model.backbone.widen_facto': 2},
        {'train_dataloader.dataset.type': 'CustomDatasets'},
        {'train_dataloader.dataset.data_root': 'nowhere'},
        {'optim_wrapper.optimizer.lrr': 1},
        {'train_cfg.max_itres': 3},
        {'val_evaluator.type': 'Acuracy'},
        {'default_hooks.checkpoint.intervall': 1},
        {'param_scheduler.0.type': 'LinearLr'},
        {'trian_cfg.max_iters': 3},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_a_fault_in_the_config_stops_it_in_one_message_and_loses_nothing(
    tmp_path, shapes, fault
):
    path = write_config(tmp_path, 'classification', shapes)
    work = tmp_path / 'work'
    work.mkdir()
    for name in ('iter_4.pth', 'best_top1_iter_2.pth', 'last_checkpoint'):
        (work / name).write_text('of an earlier training')
    with pytest.raises(UserError) as caught:
        train(path, fault)
    key = next(iter(fault))
    value = fault[key]
    names = (key.split('.')[-1], key.split('.')[0], str(value))
    assert any(name in str(caught.value) for name in names), caught.value
    for name in ('iter_4.pth', 'best_top1_iter_2.pth', 'last_checkpoint'):
        assert (work / name).read_text() == 'of an earlier training'


def test_an_error_in_the_midst_of_training_is_not_taken_for_a_fault_of_the_config(
    tmp_path, shapes, monkeypatch
):
    from mmpretrain.models import ImageClassifier

    def fail(*args, **kwargs):
        raise FileNotFoundError('a bug of ours')

    monkeypatch.setattr(ImageClassifier, 'train_step', fail)
    with pytest.raises(FileNotFoundError, match='a bug of ours'):
        train(write_config(tmp_path, 'classification', shapes))


@pytest.mark.parametrize('task', TASKS)
def test_lr_is_scaled_by_the_batch_size_for_every_toolbox(tmp_path, shapes, task):
    path = write_config(tmp_path, task, shapes)
    options = {'auto_scale_lr.base_batch_size': 8, 'param_scheduler': []}
    train(path, {**options, 'train_cfg.max_iters': 2}, auto_scale_lr=True)
    checkpoint = torch.load(tmp_path / 'work' / 'iter_2.pth', weights_only=False)
    (group,) = checkpoint['optimizer']['param_groups']
    assert group['lr'] == pytest.approx(0.01 * 2 / 8)


def test_scaling_lr_without_a_base_batch_size_is_refused(tmp_path, shapes):
    cfg = load_config(write_config(tmp_path, 'detection', shapes, 'del auto_scale_lr'))
    with pytest.raises(UserError, match='base_batch_size=N'):
        prepare_train(cfg, auto_scale_lr=True)


def test_mixed_precision_on_a_cpu_is_refused_when_asked_for(
    tmp_path, shapes, monkeypatch
):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    cfg = load_config(write_config(tmp_path, 'detection', shapes))
    with pytest.raises(UserError, match='--amp needs a GPU'):
        prepare_train(cfg, amp=True)


def test_mixed_precision_of_a_config_becomes_32_bit_on_a_cpu(
    tmp_path, shapes, monkeypatch
):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    more = "optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')"
    cfg = load_config(write_config(tmp_path, 'detection', shapes, more))
    prepare_train(cfg)
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert 'loss_scale' not in cfg.optim_wrapper


def test_mixed_precision_takes_the_place_of_the_plain_wrapper_on_a_gpu(
    tmp_path, shapes, monkeypatch
):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    cfg = load_config(write_config(tmp_path, 'detection', shapes))
    prepare_train(cfg, amp=True)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'
    cfg.optim_wrapper.type = 'SomeOptimWrapper'
    with pytest.raises(UserError, match='SomeOptimWrapper'):
        prepare_train(cfg, amp=True)


def test_classification_gets_the_loader_defaults_of_mmpretrain_and_others_do_not(
    tmp_path, shapes, monkeypatch
):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    cfg = load_config(
        write_config(tmp_path, 'classification', shapes),
        {'train_dataloader.num_workers': 2},
    )
    prepare_train(cfg)
    assert cfg.train_dataloader.pin_memory is True
    assert cfg.train_dataloader.persistent_workers is True
    assert cfg.train_dataloader.collate_fn == dict(type='default_collate')
    assert cfg.val_dataloader.persistent_workers is False  # it has no workers
    prepare_train(cfg, no_pin_memory=True, no_persistent_workers=True)
    assert cfg.train_dataloader.pin_memory is False
    assert cfg.train_dataloader.persistent_workers is False
    cfg = prepare_train(load_config(write_config(tmp_path, 'detection', shapes)))
    assert 'collate_fn' not in cfg.train_dataloader


def test_without_validation_nothing_is_evaluated(tmp_path, shapes):
    train(write_config(tmp_path, 'classification', shapes), no_validate=True)
    assert 'accuracy/top1' not in logged(tmp_path / 'work')


def test_work_dir_is_the_flag_before_the_config_before_the_name(tmp_path, shapes):
    path = write_config(tmp_path, 'detection', shapes)
    assert load_config(path, work_dir='mine').work_dir == 'mine'
    assert load_config(path).work_dir == str(tmp_path / 'work')
    named = load_config(path, {'work_dir': None}).work_dir
    assert named == f'work_dirs/{Path(path).stem}'


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('model = dict(\n', r'line \d'),
        ("_base_ = './gone.py'", r'gone\.py'),
        (
            "default_scope = 'mmpose'\nmodel = dict()",
            'mmpose.*mmdet, mmseg, mmpretrain',
        ),
        ('default_scope = [1]\nmodel = dict()', r'default_scope = \[1\]'),
        ('model = dict(type=3)', 'these tools serve configs of'),
        ("default_scope = 'mmdet'", 'has no model'),
        (
            "custom_imports = dict(imports=['no_such_module'])\n"
            "default_scope = 'mmdet'\nmodel = dict()",
            'no_such_module',
        ),
    ],
    ids=['syntax', 'base', 'scope', 'no name', 'no type', 'model', 'import'],
)
def test_a_config_that_cannot_be_read_is_told_in_one_message(tmp_path, text, words):
    path = tmp_path / 'c.py'
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        load_config(str(path))


def test_a_config_that_is_not_there_is_answered_with_near_names():
    with pytest.raises(
        UserError, match=r'did you mean .*retinanet_ghostnetv2_coco\.py'
    ):
        load_config(str(ROOT / 'configs' / 'retinanet_ghostnet2_coco.py'))


def test_options_that_do_not_fit_the_config_are_refused(tmp_path, shapes):
    path = write_config(tmp_path, 'detection', shapes)
    with pytest.raises(UserError, match='--cfg-options'):
        load_config(path, {'param_scheduler.7.type': 'X'})


def test_detections_are_dumped_to_a_pickle_file(trained, tmp_path):
    path, work = trained['detection']
    out = str(tmp_path / 'out.pkl')
    cfg = prepare_test(load_config(path), str(work / 'iter_4.pth'), out=out)
    run_test(cfg, out)
    predictions = pickle.loads(Path(out).read_bytes())
    assert len(predictions) == 8
    assert predictions[0]['pred_instances']['bboxes'].shape[1] == 4


def test_label_maps_are_written_in_the_form_of_the_server(trained, tmp_path):
    path, work = trained['segmentation']
    out = str(tmp_path / 'maps')
    cfg = prepare_test(load_config(path), str(work / 'iter_4.pth'), out=out)
    run_test(cfg, out)
    maps = sorted(Path(out).glob('*.png'))
    assert len(maps) == 8
    labels = np.unique([np.asarray(Image.open(name)) for name in maps])
    assert 1 <= labels.min() <= labels.max() <= 8  # ADE20K's classes begin at 1


@pytest.mark.parametrize(('item', 'suffix'), [('pred', 'pkl'), ('metrics', 'json')])
def test_classifications_or_their_metrics_are_dumped(
    trained, tmp_path, item, suffix, monkeypatch
):
    path, work = trained['classification']
    out = str(tmp_path / f'out.{suffix}')
    checkpoint = str(work / 'iter_4.pth')
    cfg = prepare_test(load_config(path), checkpoint, out=out, out_item=item)
    metrics = run_test(cfg, out, item)
    if item == 'metrics':
        assert json.loads(Path(out).read_text()) == metrics
        Path(out).unlink()
        monkeypatch.setattr(launch, 'is_main_process', lambda: False)
        run_test(cfg, out, item)
        assert not Path(out).exists()  # one process of several writes it
    else:
        assert len(pickle.loads(Path(out).read_bytes())) == 8


@pytest.mark.parametrize(
    ('task', 'flags', 'words'),
    [
        ('detection', dict(out='a.json'), r'\.pkl or \.pickle'),
        ('detection', dict(out='a.pkl', out_item='pred'), 'for classification'),
        ('classification', dict(out_item='pred'), '--out FILE'),
        ('segmentation', dict(out=__file__), 'into a folder'),
    ],
)
def test_a_place_for_results_that_does_not_fit_is_refused(trained, task, flags, words):
    path, work = trained[task]
    with pytest.raises(UserError, match=words):
        prepare_test(load_config(path), str(work / 'iter_4.pth'), **flags)


@pytest.mark.parametrize('task', TASKS)
def test_test_time_augmentation_runs_and_keeps_the_weights(trained, task):
    path, work = trained[task]
    cfg = prepare_test(load_config(path), str(work / 'iter_4.pth'), tta=True)
    assert cfg.model.module.backbone.type == 'GhostNetV2'
    assert METRIC[task] in run_test(cfg)


def test_flips_give_a_classifier_that_sees_no_difference_the_same_scores(
    trained, tmp_path
):
    path, work = trained['classification']
    scores = []
    for tta in (False, True):
        out = str(tmp_path / f'{tta}.pkl')
        cfg = load_config(path, {'model.head.cal_acc': False})
        if tta:  # a single view, not flipped: the mean over it must change nothing
            last = cfg.test_dataloader.dataset.pipeline[-1]
            views = [[dict(type='RandomFlip', prob=0.0)], [last]]
            cfg.tta_pipeline = [
                *cfg.test_dataloader.dataset.pipeline[:-1],
                dict(type='TestTimeAug', transforms=views),
            ]
        prepare_test(cfg, str(work / 'iter_4.pth'), out=out, tta=tta)
        run_test(cfg, out)
        predictions = pickle.loads(Path(out).read_bytes())
        scores.append(torch.stack([item['pred_score'] for item in predictions]))
    torch.testing.assert_close(scores[0], scores[1])


def test_test_time_augmentation_of_several_test_sets_in_one_is_refused(
    tmp_path, shapes
):
    cfg = load_config(write_config(tmp_path, 'detection', shapes))
    part = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[part, part])
    with pytest.raises(UserError, match='is a ConcatDataset of 2 data sets'):
        launch.set_tta(cfg, 'mmdet')


@pytest.mark.parametrize(
    ('platform', 'variables', 'refused'),
    [
        ('linux', {}, True),
        ('linux', {'DISPLAY': ':0'}, False),
        ('linux', {'WAYLAND_DISPLAY': 'wayland-0'}, False),
        ('darwin', {}, False),
        ('win32', {}, False),
    ],
)
def test_showing_is_refused_only_where_there_can_be_no_window(
    tmp_path, shapes, monkeypatch, platform, variables, refused
):
    cfg = load_config(write_config(tmp_path, 'detection', shapes))
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launch.sys, 'platform', platform)
    arguments = (cfg, 'mmdet', True, None, 2.0, 1)
    if refused:
        with pytest.raises(UserError, match='needs a display'):
            launch.set_visualization(*arguments)
    else:
        launch.set_visualization(*arguments)
        assert cfg.default_hooks.visualization.show


@pytest.mark.parametrize('task', TASKS)
def test_pictures_of_the_predictions_are_kept_where_it_is_said(
    trained, tmp_path, task, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path, work = trained[task]
    cfg = load_config(path, work_dir=str(tmp_path / 'work'))
    prepare_test(cfg, str(work / 'iter_4.pth'), show_dir='seen', interval=1)
    assert shown_in(cfg, 'seen') is None
    run_test(cfg)
    found = [p for p in tmp_path.rglob('*') if p.suffix in ('.png', '.jpg')]
    # mmpretrain names them by the file alone, and ours are 000001.jpg of every class.
    assert len(found) == (1 if task == 'classification' else 8)
    assert {path.parent for path in found} == {Path(shown_in(cfg, 'seen')).absolute()}


@pytest.mark.parametrize('task', TASKS)
def test_weights_of_another_width_are_not_evaluated(trained, task):
    path, work = trained[task]
    cfg = load_config(path, {'model.backbone.widen_factor': 0.5})
    prepare_test(cfg, str(work / 'iter_4.pth'))
    with pytest.raises(UserError, match='of another width'):
        run_test(cfg)


def test_a_config_without_mmghost_trains_all_the_same(tmp_path, shapes):
    path = write_config(
        tmp_path,
        'classification',
        shapes,
        "model['backbone'] = dict(type='MobileNetV2', widen_factor=0.25)\n"
        "model['head']['in_channels'] = 1280\n"
        "default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False))",
    )
    text = Path(path).read_text().replace('_base_ = ', '# _base_ = ')
    Path(path).write_text(f"default_scope = 'mmpretrain'\n{text}")
    train(path)
    assert (tmp_path / 'work' / 'iter_4.pth').is_file()
    # The width is checked although this config has no such hook.
    cfg = load_config(path, {'model.backbone.widen_factor': 0.5})
    with pytest.raises(UserError, match='not one of this model'):
        run_test(prepare_test(cfg, str(tmp_path / 'work' / 'iter_4.pth')))
