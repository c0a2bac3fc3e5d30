"""The ImageNet config trains, resumes and evaluates; timm's evaluation agrees."""

import pickle
import shutil
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from mmghost.datasets.shapes import make_shapes
from mmghost.engine.launch import (
    load_config,
    prepare_test,
    prepare_train,
    run_test,
    run_train,
)
from mmghost.models import GhostNetClassifier
from tests.helpers import randomize


@pytest.fixture(scope='module')
def imagenet(tmp_path_factory) -> Path:
    """Twelve images of three classes to train on and to validate with, as in ImageNet."""
    root, classes = tmp_path_factory.mktemp('shapes'), ['circle', 'ring', 'star']
    few = dict(train=12, val=12, size=240, only='imagenet', progress=False)
    make_shapes(root, classes=classes, **few)
    return root / 'imagenet'


def options(data: Path, **more) -> dict:
    """Settings with which the recipe runs in seconds, unchanged in all else."""
    chosen = {
        'model.backbone.widen_factor': 0.25,
        'model.head.in_channels': 240,
        'val_dataloader.batch_size': 6,
        'test_dataloader.batch_size': 6,
        'train_dataloader.batch_size': 4,
    }
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        chosen[f'{loader}.dataset.data_root'] = str(data)
        chosen[f'{loader}.num_workers'] = 0
    return {**chosen, **more}


def config(root: Path, work: Path, cfg_options: dict):
    path = root / 'configs/ghostnetv2_imagenet.py'
    return load_config(str(path), cfg_options, str(work))


def train(root: Path, work: Path, cfg_options: dict, resume: str | None = None):
    torch.manual_seed(0)
    cfg = config(root, work, cfg_options)
    prepare_train(cfg, resume=resume)
    run_train(cfg)


def saved(path: Path) -> dict:
    return torch.load(path, map_location='cpu', weights_only=False)


def test_scores_and_accuracy_are_those_of_timms_evaluation(root, imagenet, tmp_path):
    network = randomize(timm.create_model('ghostnetv2_100')).eval()
    settings = resolve_data_config({}, model=network)
    assert (settings['crop_pct'], settings['interpolation']) == (0.875, 'bicubic')
    transform = create_transform(**settings)
    lines = (imagenet / 'meta/val.txt').read_text().splitlines()
    names = [line.split()[0] for line in lines]
    images = [Image.open(imagenet / 'val' / name).convert('RGB') for name in names]
    with torch.no_grad():
        logits = network(torch.stack([transform(image) for image in images]))
    # Labels that the network ranks from first to last.
    order = logits.argsort(1, descending=True)
    ranks = [0, 0, 0, 1, 4, 4, 5, 9, 0, 300, 999, 2]
    labels = [int(order[i, rank]) for i, rank in enumerate(ranks)]
    data = tmp_path / 'imagenet'
    shutil.copytree(imagenet, data)
    lines = [f'{name} {label}\n' for name, label in zip(names, labels)]
    (data / 'meta/val.txt').write_text(''.join(lines))

    # The released files hold a state dict with timm's names.
    checkpoint, out = tmp_path / 'ck_ghostnetv2_10.pth.tar', tmp_path / 'out.pkl'
    torch.save(network.state_dict(), checkpoint)
    chosen = options(data)
    del chosen['model.backbone.widen_factor'], chosen['model.head.in_channels']
    cfg = config(root, tmp_path / 'work', chosen)
    prepare_test(cfg, str(checkpoint), str(out))
    metrics = run_test(cfg)
    with open(out, 'rb') as file:
        scores = torch.stack([sample['pred_score'] for sample in pickle.load(file)])
    # The pixels are equal (test_transforms.py); normalization and convolutions sum in
    # another order.
    torch.testing.assert_close(scores, logits.softmax(1), rtol=1e-3, atol=1e-6)
    assert metrics['accuracy/top1'] == pytest.approx(100 * 4 / 12)
    assert metrics['accuracy/top5'] == pytest.approx(100 * 8 / 12)


@pytest.mark.parametrize('accumulate', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_training_ends_bit_equal_to_an_uninterrupted_one(
    root, imagenet, tmp_path, accumulate
):
    """With all of the recipe: augmentation, erasing, dropout, noise, average."""
    chosen = options(
        imagenet,
        **{
            'optim_wrapper.accumulative_counts': accumulate,
            'custom_hooks.0.interval': accumulate,
            'custom_hooks.0.momentum': 0.1,
            # Four epochs with warmup, decay, and noise in the last two.
            'train_cfg.max_epochs': 4,
            'train_cfg.val_interval': 4,
            # Crops of 64 px.
            'train_dataloader.dataset.pipeline.1.transforms.0.0.scale': 64,
            'train_dataloader.dataset.pipeline.1.transforms.1.0.scale': 64,
            'param_scheduler.noise_range': (0.4, 0.9),
        },
    )
    train(root, tmp_path / 'whole', chosen)
    (tmp_path / 'parts').mkdir()
    checkpoint = tmp_path / 'parts/epoch_2.pth'
    shutil.copy(tmp_path / 'whole/epoch_2.pth', checkpoint)
    (tmp_path / 'parts/last_checkpoint').write_text(str(checkpoint))
    train(root, tmp_path / 'parts', chosen, resume='auto')
    whole, parts = (saved(tmp_path / d / 'epoch_4.pth') for d in ('whole', 'parts'))
    for key in ('state_dict', 'ema_state_dict'):
        assert whole[key].keys() == parts[key].keys()
        for name, value in whole[key].items():
            assert torch.equal(value, parts[key][name]), (key, name)
    # The average is saved as the model, the weights beside it.
    name = 'head.layers.1.fc.weight'
    weights = whole['ema_state_dict'][f'module.{name}']
    assert not torch.equal(whole['state_dict'][name], weights)
    for index, state in whole['optimizer']['state'].items():
        for key, value in state.items():
            assert torch.equal(value, parts['optimizer']['state'][index][key])
    lrs = [[g['lr'] for g in c['optimizer']['param_groups']] for c in (whole, parts)]
    assert lrs[0] == lrs[1]
    assert whole['param_schedulers'] == parts['param_schedulers']


def test_fine_tuning_takes_all_of_the_release_but_the_last_layer(
    root, imagenet, tmp_path
):
    released = randomize(GhostNetClassifier(0.25)).state_dict()
    file = tmp_path / 'ck_ghostnetv2.pth.tar'
    torch.save(dict(state_dict=released), file)
    chosen = options(imagenet, load_from=str(file))
    chosen['model.head.num_classes'] = 3
    chosen['train_cfg.max_epochs'] = 3  # two of them are warmup
    chosen['optim_wrapper.optimizer.lr'] = 0.0
    chosen['optim_wrapper.optimizer.weight_decay'] = 0.0
    path = root / 'configs/classification/ghostnetv2-1.0_finetune.py'
    cfg = load_config(str(path), chosen, str(tmp_path / 'work'))
    prepare_train(cfg)
    model = run_train(cfg)
    assert torch.equal(model.backbone.conv_stem.weight, released['conv_stem.weight'])
    hidden = released['conv_head.weight'][:, :, 0, 0]
    assert torch.equal(model.head.layers[0].fc.weight, hidden)
    assert model.head.layers[1].fc.weight.shape == (3, 1280)
