"""The ImageNet config trains, resumes and evaluates; timm's evaluation agrees."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image

from mmghost.engine.launch import (
    load_config,
    prepare_test,
    prepare_train,
    run_test,
    run_train,
)
from tests.helpers import randomise

CLASSES = 1000
PICTURES = 12


@pytest.fixture(scope='module')
def imagenet(tmp_path_factory) -> Path:
    """ImageNet's layout: 1000 folders, and pictures for a few of them."""
    root = tmp_path_factory.mktemp('imagenet')
    generator = np.random.default_rng(0)
    lines = []
    for index in range(PICTURES):
        name = f'n{index:08d}/{index}.jpg'
        height, width = generator.integers(180, 420, 2)
        coarse = generator.integers(0, 256, (9, 11, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((int(width), int(height)))
        for split in ('train', 'val'):
            (root / split / name).parent.mkdir(parents=True)
            picture.save(root / split / name, quality=92)
        lines.append(f'{name} {index}\n')
    for index in range(PICTURES, CLASSES):
        for split in ('train', 'val'):
            (root / split / f'n{index:08d}').mkdir()
    (root / 'meta').mkdir()
    for split in ('train', 'val'):
        (root / 'meta' / f'{split}.txt').write_text(''.join(lines))
    return root


def options(root: Path, **more) -> dict:
    """What makes the ImageNet config run in seconds; the recipe stays as it is."""
    chosen = {
        'model.backbone.widen_factor': 0.25,
        'model.head.in_channels': 240,
        'val_dataloader.batch_size': 6,
        'test_dataloader.batch_size': 6,
        'train_dataloader.batch_size': 4,
    }
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        chosen[f'{loader}.dataset.data_root'] = str(root)
        chosen[f'{loader}.num_workers'] = 0
        chosen[f'{loader}.persistent_workers'] = False
    chosen.update(more)
    return chosen


def config(root: Path, work: Path, cfg_options: dict):
    return load_config(
        str(root / 'configs/ghostnetv2_imagenet.py'), cfg_options, str(work)
    )


def test_logits_and_accuracy_are_those_of_timms_own_evaluation(
    root, imagenet, tmp_path
):
    """Same pictures, same random weights: the released weights' evaluation command."""
    import timm
    from timm.data import create_transform, resolve_data_config

    network = randomise(timm.create_model('ghostnetv2_100')).eval()
    # Some labels right, some wrong: those that the network itself gives to the pictures.
    settings = resolve_data_config({}, model=network)
    assert (settings['crop_pct'], settings['interpolation']) == (0.875, 'bicubic')
    transform = create_transform(**settings)
    lines = (imagenet / 'meta/val.txt').read_text().split('\n')[:PICTURES]
    files = [imagenet / 'val' / line.split()[0] for line in lines]
    with torch.no_grad():
        pictures = [transform(Image.open(f).convert('RGB')) for f in files]
        logits = network(torch.stack(pictures))
    order = logits.argsort(1, descending=True)
    ranks = [0, 0, 0, 1, 4, 4, 5, 9, 0, 300, 999, 2]
    labels = [int(order[i, rank]) for i, rank in enumerate(ranks)]
    copy = tmp_path / 'imagenet'
    shutil.copytree(imagenet, copy)
    (copy / 'meta/val.txt').write_text(
        ''.join(f'{line.split()[0]} {label}\n' for line, label in zip(lines, labels))
    )

    # The released files hold a state dict of timm's names.
    torch.save(network.state_dict(), tmp_path / 'ck_ghostnetv2_10.pth.tar')
    chosen = options(copy)
    del chosen['model.backbone.widen_factor'], chosen['model.head.in_channels']
    cfg = config(root, tmp_path / 'work', chosen)
    prepare_test(
        cfg, str(tmp_path / 'ck_ghostnetv2_10.pth.tar'), str(tmp_path / 'out.pkl')
    )
    metrics = run_test(cfg, str(tmp_path / 'out.pkl'))
    with open(tmp_path / 'out.pkl', 'rb') as file:
        scores = torch.stack([sample['pred_score'] for sample in pickle.load(file)])
    # The pixels are the same (tests/datasets); normalisation and the convolutions are
    # summed in another order.
    torch.testing.assert_close(scores, logits.softmax(1), rtol=1e-3, atol=1e-6)
    assert torch.equal(scores.argmax(1), logits.argmax(1))
    assert metrics['accuracy/top1'] == pytest.approx(100 * 4 / 12)
    assert metrics['accuracy/top5'] == pytest.approx(100 * 8 / 12)


def train(root: Path, work: Path, cfg_options: dict, resume: str | None = None):
    torch.manual_seed(0)
    cfg = config(root, work, cfg_options)
    prepare_train(cfg, resume=resume)
    run_train(cfg)
    return cfg


def saved(path: Path) -> dict:
    return torch.load(path, map_location='cpu', weights_only=False)


@pytest.mark.parametrize('accumulate', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(
    root, imagenet, tmp_path, accumulate
):
    """The same weights, average, optimizer state and lr, to the last bit.

    With all of the recipe: augmentation, erasing and dropout draw the same again, too.
    """
    more = {
        'optim_wrapper.accumulative_counts': accumulate,
        'custom_hooks.0.interval': accumulate,
        'custom_hooks.0.momentum': 0.1,
        # Six epochs with warm-up, decay, and noise in the third to fifth.
        'train_cfg.max_epochs': 6,
        'param_scheduler.noise_range': (0.4, 0.9),
        'default_hooks.logger.interval': 1,
    }
    chosen = options(imagenet, **more)
    train(root, tmp_path / 'whole', chosen)
    kept = tmp_path / 'parts'
    kept.mkdir()
    for name in ('epoch_4.pth', 'last_checkpoint'):
        shutil.copy(tmp_path / 'whole' / name, kept)
    (kept / 'last_checkpoint').write_text(str(kept / 'epoch_4.pth'))
    train(root, kept, chosen, resume='auto')
    whole, parts = (
        saved(tmp_path / folder / 'epoch_6.pth') for folder in ('whole', 'parts')
    )
    for key in ('state_dict', 'ema_state_dict'):
        assert whole[key].keys() == parts[key].keys()
        for name, value in whole[key].items():
            assert torch.equal(value, parts[key][name]), (key, name)
    # What is saved as the model is the average, and differs from the weights.
    name = 'head.layers.1.fc.weight'
    assert not torch.equal(
        whole['state_dict'][name], whole['ema_state_dict'][f'module.{name}']
    )
    a, b = whole['optimizer'], parts['optimizer']
    assert a['state'].keys() == b['state'].keys()
    for index, state in a['state'].items():
        for key, value in state.items():
            assert torch.equal(value, b['state'][index][key])
    assert [g['lr'] for g in a['param_groups']] == [g['lr'] for g in b['param_groups']]
    assert whole['param_schedulers'] == parts['param_schedulers']
    history = {}
    for folder in ('whole', 'parts'):
        scalars = saved(tmp_path / folder / 'epoch_6.pth')['message_hub']['log_scalars']
        history[folder] = scalars['train/lr'].data[0]
    assert np.array_equal(history['whole'], history['parts'])


@pytest.mark.slow
def test_each_epoch_has_a_checkpoint_and_the_best_is_kept(root, imagenet, tmp_path):
    work = tmp_path / 'work'
    train(root, work, options(imagenet, **{'train_cfg.max_epochs': 2}))
    names = {path.name for path in work.glob('*.pth')}
    assert {'epoch_1.pth', 'epoch_2.pth'} < names
    (best,) = (name for name in names if name.startswith('best_accuracy_top1'))
    init_default_scope('mmpretrain')
    cfg = config(root, tmp_path / 'test', options(imagenet))
    prepare_test(cfg, str(work / best))
    assert set(run_test(cfg)) == {'accuracy/top1', 'accuracy/top5'}


def test_fine_tuning_takes_all_of_the_release_but_the_last_layer(
    root, imagenet, tmp_path
):
    from mmghost.models import GhostNetClassifier

    released = randomise(GhostNetClassifier(0.25)).state_dict()
    torch.save(dict(state_dict=released), tmp_path / 'ck_ghostnetv2.pth.tar')
    for split in ('train', 'val'):
        for index in range(3):
            source = imagenet / split / f'n{index:08d}'
            shutil.copytree(source, tmp_path / 'mine' / split / f'class{index}')
    chosen = options(
        tmp_path / 'mine', load_from=str(tmp_path / 'ck_ghostnetv2.pth.tar')
    )
    chosen['model.head.num_classes'] = 3
    chosen['train_cfg.max_epochs'] = 3  # two of them are warm-up
    chosen['optim_wrapper.optimizer.lr'] = 0.0
    chosen['optim_wrapper.optimizer.weight_decay'] = 0.0
    name = 'configs/classification/ghostnetv2-1.0_finetune.py'
    cfg = load_config(str(root / name), chosen, str(tmp_path / 'work'))
    prepare_train(cfg)
    model = run_train(cfg)
    assert torch.equal(model.backbone.conv_stem.weight, released['conv_stem.weight'])
    hidden = released['conv_head.weight'][:, :, 0, 0]
    assert torch.equal(model.head.layers[0].fc.weight, hidden)
    assert model.head.layers[1].fc.weight.shape == (3, 1280)
