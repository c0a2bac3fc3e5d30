"""What this project's own trainings write loads into every other model."""

import logging
import re
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmghost.datasets.shapes import make_shapes
from mmghost.models import GhostNetClassifier
from mmghost.weights import convert, load_pretrained, publish
from tests.engine.toys import write_config
from tests.helpers import picture
from tests.weights.models import deeplabv3, mask_rcnn, retinanet

# The toys' backbone with batch norm, and the classifier's head of this project's configs.
CLASSIFIER = """
model['backbone'].pop('norm_cfg')
model['backbone'].update(out_indices=(5,))
model['head'] = dict(
    type='StackedLinearClsHead', num_classes=8, in_channels=240, mid_channels=[1280],
    dropout_rate=0.2, loss=dict(type='CrossEntropyLoss'), topk=(1,))
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
"""
DETECTOR = "model['backbone'].pop('norm_cfg')\n"


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Train a classifier (with EMA) and a RetinaNet for four iterations each."""
    folder = tmp_path_factory.mktemp('trainings')
    make_shapes(folder / 'data', train=16, val=8, size=96, progress=False)
    found = {}
    for task, more in (('classification', CLASSIFIER), ('detection', DETECTOR)):
        (folder / task).mkdir()
        cfg = Config.fromfile(write_config(folder / task, task, folder / 'data', more))
        cfg.experiment_name = f'weights_{task}'
        Runner.from_cfg(cfg).train()
        found[task] = folder / task / 'work' / 'iter_4.pth'
    return found


def trunk_of(path):
    """The backbone's weights by mmengine's own reading."""
    state = torch.load(path, weights_only=False)['state_dict']
    return {n[9:]: v for n, v in state.items() if n.startswith('backbone.')}


@pytest.mark.parametrize('model', [retinanet, mask_rcnn, deeplabv3])
@pytest.mark.parametrize('task', ['classification', 'detection'])
def test_a_trained_checkpoint_loads_n_of_n(task, model, trained, log):
    path = trained[task]
    indices = {} if task == 'classification' else {'out_indices': (1, 2, 3, 4)}
    logger = MMLogger.get_current_instance()
    logger.setLevel(logging.WARNING)
    model = model(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **indices)
    model.init_weights()
    found = re.match(r'GhostNetV2: (\d+) of (\d+) tensors loaded', log[0])
    assert found[1] == found[2]
    trunk = trunk_of(path)
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, trunk[name]), name


def test_a_trained_classifier_has_its_logits_in_this_packages_classifier(trained):
    path = trained['classification']
    ours = GhostNetClassifier(0.25, num_classes=8).eval()
    report = load_pretrained(ours, path)
    assert report.loaded == report.total
    assert report.kind == 'a classifier of mmpretrain'
    cfg = Config.fromfile(next(path.parent.parent.glob('*.py')))
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope('mmpretrain')
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(path, weights_only=False)['state_dict'])
    x = picture(2, 3, 64, 64)
    with torch.no_grad():
        # A linear layer for a 1x1 convolution: another order of sums.
        assert torch.allclose(model.head(model.extract_feat(x)), ours(x), atol=1e-5)


def test_a_trained_checkpoint_is_published_and_converted(trained, tmp_path):
    path = trained['classification']
    content = torch.load(path, weights_only=False)
    assert 'ema_state_dict' in content and 'optimizer' in content
    published = publish(path, tmp_path / 'classifier.pth')
    assert published.stat().st_size < path.stat().st_size / 2
    found = torch.load(published, weights_only=True)
    assert found.keys() == {'meta', 'state_dict'}
    assert found['meta']['dataset_meta']['classes']
    # The averaged weights, which mmengine puts in place of the training's.
    for name, value in content['state_dict'].items():
        assert torch.equal(found['state_dict'][name], value)
    convert(published, tmp_path / 'release.pth', 'release')
    load_pretrained(GhostNetClassifier(0.25, num_classes=8), tmp_path / 'release.pth')


@pytest.mark.slow
@pytest.mark.realdata
def test_a_minute_on_sign_digits_loads_into_every_model(realdata, root, tmp_path, log):
    config = tmp_path / 'sign_digits.py'
    config.write_text(SIGN_DIGITS.format(root=str(root), data=str(realdata)))
    command = [sys.executable, str(root / 'tools' / 'train.py'), str(config)]
    command += ['--work-dir', str(tmp_path / 'work')]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    path = str(tmp_path / 'work' / 'epoch_1.pth')
    init_cfg = dict(type='Pretrained', checkpoint=path)
    for model in (retinanet, mask_rcnn, deeplabv3):
        model(init_cfg=init_cfg, widen_factor=0.25).init_weights()
    loaded = [re.match(r'GhostNetV2: (\d+) of (\d+) tensors', line) for line in log]
    assert len(loaded) == 3
    assert all(found[1] == found[2] for found in loaded)


SIGN_DIGITS = """
_base_ = [
    '{root}/configs/_base_/models/ghostnetv2_classifier.py',
    '{root}/configs/_base_/runtimes/classification.py',
]
model = dict(
    backbone=dict(widen_factor=0.25),
    head=dict(num_classes=10, in_channels=240, topk=(1,)))
data_preprocessor = dict(
    num_classes=10, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
    to_rgb=True)
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=96),
    dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=32, num_workers=1,
    dataset=dict(
        type='CustomDataset', data_root='{data}/sign_digits', data_prefix='train',
        pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=64, num_workers=1,
    dataset=dict(
        type='CustomDataset', data_root='{data}/sign_digits', data_prefix='val',
        pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1,))
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
"""
