"""Checkpoints: whole or not, the last one, of any origin, fitting the model or not."""

import pickle
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from safetensors.torch import save_file
from torch import nn

from mmghost.engine import checkpoints
from mmghost.engine.building import build_model
from mmghost.engine.checkpoints import (
    changes_at_resume,
    check_fit,
    is_whole,
    last_whole,
    read_checkpoint,
    set_aside,
)
from mmghost.engine.launch import load_config, prepare_train
from mmghost.errors import UserError, WeightsError
from mmghost.weights.reading import HAS_SAFE_GLOBALS
from tests.weights.crafted import ATTACKS
from tests.weights.writers import mindspore_names
from tests.weights.writers import save as save_weights

from .toys import evaluate, logged, state, train, write_config


def save(path: Path, **more) -> Path:
    torch.save({'state_dict': {'weight': torch.randn(64, 64)}, **more}, path)
    return path


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


# Files ---------------------------------------------------------------------------------


@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_anywhere_is_not_whole(tmp_path, share):
    path = save(tmp_path / 'epoch_1.pth')
    assert is_whole(path)
    cut(path, share)
    assert not is_whole(path)


def test_one_changed_byte_in_a_tensor_is_noticed(tmp_path):
    path = save(tmp_path / 'epoch_1.pth')
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # the 16 KiB tensor fills most of the file
    path.write_bytes(content)
    assert not is_whole(path)


def test_resume_takes_the_last_whole_checkpoint_by_number(tmp_path, monkeypatch):
    for epoch in (2, 9, 10):
        save(tmp_path / f'epoch_{epoch}.pth')
    save(tmp_path / 'best_mAP_epoch_11.pth')  # kept for its score, not the latest state
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_10.pth'))
    assert last_whole(tmp_path).name == 'epoch_10.pth'
    cut(tmp_path / 'epoch_10.pth')
    assert last_whole(tmp_path).name == 'epoch_9.pth'
    (tmp_path / 'last_checkpoint').write_text('')  # a crash; not the folder we are in
    (tmp_path / 'here').mkdir()
    save(tmp_path / 'here' / 'epoch_99.pth')
    monkeypatch.chdir(tmp_path / 'here')
    assert last_whole(tmp_path).name == 'epoch_9.pth'


def test_resume_finds_checkpoints_of_moved_and_copied_folders_and_elsewhere(tmp_path):
    first, copied, other = tmp_path / 'a', tmp_path / 'b', tmp_path / 'c'
    first.mkdir()
    save(first / 'iter_40.pth')
    (first / 'last_checkpoint').write_text(str(first / 'iter_40.pth'))
    shutil.copytree(first, copied)
    shutil.copytree(first, other)
    (other / 'iter_40.pth').unlink()
    assert last_whole(copied) == copied / 'iter_40.pth'
    assert last_whole(other) == first / 'iter_40.pth'
    save(first / 'iter_20.pth')
    cut(first / 'iter_40.pth')
    assert last_whole(other) == first / 'iter_20.pth'
    (tmp_path / 'last_checkpoint').write_text('s3://bucket/iter_40.pth')
    with pytest.raises(UserError, match=r'names s3://bucket/iter_40.pth, which is not'):
        last_whole(tmp_path)


def test_no_checkpoint_is_not_an_error_but_broken_ones_alone_are(tmp_path):
    assert last_whole(tmp_path) is None
    cut(save(tmp_path / 'epoch_1.pth'))
    with pytest.raises(UserError, match=r'epoch_1\.pth'):
        last_whole(tmp_path)


def test_earlier_checkpoints_are_moved_aside_and_nothing_else(tmp_path):
    names = {'epoch_1.pth', 'best_coco_bbox_mAP_epoch_1.pth', 'iter_5.pth'}
    for name in (*names, 'pretrained.pth'):
        save(tmp_path / name)
    (tmp_path / 'last_checkpoint').write_text('x')
    folder = set_aside(tmp_path)
    assert {p.name for p in folder.iterdir()} == names | {'last_checkpoint'}
    assert (tmp_path / 'pretrained.pth').is_file()
    assert set_aside(tmp_path) is None


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('best_epoch_4.pth', r'no such file; did you mean best_epoch_3\.pth'),
        ('cut.pth', 'is cut short or damaged'),
        pytest.param(
            'code.pth',
            r'would run code \(posix\.system\)',
            marks=pytest.mark.skipif(
                not HAS_SAFE_GLOBALS, reason='before torch 2.6 mmengine reads it'
            ),
        ),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, name, words):
    save(tmp_path / 'best_epoch_3.pth')
    cut(save(tmp_path / 'cut.pth'))
    torch.save({'state_dict': {}, 'meta': ATTACKS['os.system']}, tmp_path / 'code.pth')
    with pytest.raises(UserError, match=words):
        read_checkpoint(str(tmp_path / name))


# Resuming ------------------------------------------------------------------------------


def test_a_checkpoint_cut_short_is_named_and_the_one_before_it_goes_on(
    tmp_path, shapes, trained, monkeypatch
):
    path, work = write_config(tmp_path, 'classification', shapes), tmp_path / 'work'
    shutil.copytree(trained['classification'][1], work)
    whole = state(work / 'iter_4.pth')
    cut(work / 'iter_4.pth')
    said = []
    note = lambda text, *_, **__: said.append(text)  # noqa: E731
    monkeypatch.setattr(checkpoints, 'print_log', note)
    assert train(path, resume='auto').load_from == str(work / 'iter_2.pth')
    assert 'iter_4.pth was cut short; resuming from iter_2.pth' in said[0]
    again = state(work / 'iter_4.pth')
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_resuming_with_another_config_says_what_changed_and_what_applies(
    tmp_path, shapes
):
    """Issue 19, 5: a new lr was ignored without a word."""
    path, work = write_config(tmp_path, 'classification', shapes), tmp_path / 'work'
    train(path, {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 9})
    train(path, {'optim_wrapper.optimizer.lr': 0.5}, resume='auto')
    (told,) = re.findall(
        r'iter_2\.pth was written with .*?without --resume', logged(work), re.S
    )
    assert re.search(r'^-.*lr=0\.01', told, re.M) and re.search(
        r'^\+.*lr=0\.5', told, re.M
    )
    assert re.search(r'^\+.*max_iters=4', told, re.M)
    assert f'load_from={work}/iter_2.pth' in told
    # It is true: the training went on to 4 iterations, with the lr of the checkpoint.
    (group,) = state(work / 'iter_4.pth', 'optimizer')['param_groups']
    assert group['initial_lr'] == 0.01


def test_a_config_that_did_not_change_is_not_mentioned():
    assert "load_from='/a b.pth', " in changes_at_resume('a = 1', 'a = 2', '/a b.pth')
    text = "lr = 0.1\nmodel = dict(type='A')\n"
    same = f"{text}load_from = 'x.pth'\nresume = True\n"
    assert changes_at_resume(text, same, 'x.pth') == ''


def test_resuming_without_a_checkpoint_starts_from_the_beginning(tmp_path, shapes):
    path = write_config(tmp_path, 'classification', shapes)
    for start in (None, str(save(tmp_path / 'start.pth'))):
        cfg = load_config(path, {'load_from': start})
        prepare_train(cfg, resume='auto')
        assert (cfg.resume, cfg.load_from) == (False, start)


@pytest.mark.parametrize('name', ['bare.pth', 'bare.safetensors'])
def test_resuming_from_weights_without_a_training_state_is_refused(
    tmp_path, shapes, trained, name
):
    """mmengine reads a copy of the second one; the advice names the file itself."""
    bare, file = state(trained['classification'][1] / 'iter_4.pth'), tmp_path / name
    if name == 'bare.pth':
        torch.save({'state_dict': bare}, file)
    else:
        save_file(bare, file)
    path = write_config(tmp_path, 'classification', shapes)
    with pytest.raises(UserError, match=rf'no state of a training.*load_from={file}'):
        train(path, resume=str(file))


# Weights of other origins --------------------------------------------------------------

CLASSIFIER = """
model = dict(
    type='ImageClassifier', data_preprocessor=dict(mean=[128] * 3, std=[64] * 3),
    backbone=dict(type='GhostNetV2', out_indices=(5,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='StackedLinearClsHead', num_classes=8, in_channels=960, mid_channels=[1280],
        dropout_rate=0.2, act_cfg=dict(type='ReLU'), cal_acc=False,
        loss=dict(type='CrossEntropyLoss')))
"""


@pytest.fixture
def classifier(tmp_path, shapes) -> str:
    return write_config(tmp_path, 'classification', shapes, CLASSIFIER)


@pytest.fixture(scope='module')
def timms() -> nn.Module:
    """Return timm's classifier with running statistics that matter."""
    timm = pytest.importorskip('timm')
    torch.manual_seed(0)
    model = timm.create_model('ghostnetv2_100', num_classes=8).eval()
    for name, value in model.state_dict().items():
        if 'running_' in name:
            value.uniform_(0.5, 1.5)
    return model


def scores(config: str, checkpoint: Path) -> torch.Tensor:
    out = checkpoint.with_suffix('.pkl')
    evaluate(config, checkpoint, out=str(out))
    found = pickle.loads(out.read_bytes())
    return torch.stack([sample['pred_score'] for sample in found])


def test_a_file_of_any_origin_is_evaluated_as_timm_would(tmp_path, classifier, timms):
    state = timms.state_dict()
    paths = [
        save_weights(state, tmp_path / f'a.{end}') for end in ('pth', 'safetensors')
    ]
    paths.append(save_weights(mindspore_names(state), tmp_path / 'a.ckpt'))
    cfg = load_config(classifier)
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    images = torch.stack([dataset[i]['inputs'] for i in range(len(dataset))])
    with torch.no_grad():
        expected = timms((images - 128) / 64).softmax(1)
    for path in paths:
        # 100 layers in 32 bit, batched in another way.
        torch.testing.assert_close(
            scores(classifier, path), expected, rtol=1e-3, atol=1e-4
        )


def test_a_training_starts_from_a_file_of_another_origin(tmp_path, classifier, timms):
    path = save_weights(timms.state_dict(), tmp_path / 'a.safetensors')
    options = {'train_cfg.max_iters': 1, 'optim_wrapper.optimizer.lr': 0}
    options |= {'default_hooks.checkpoint.interval': 1, 'load_from': str(path)}
    train(classifier, options, no_validate=True)
    stem = torch.load(tmp_path / 'work' / 'iter_1.pth', weights_only=False)
    stem = stem['state_dict']['backbone.conv_stem.weight']
    assert torch.equal(stem, timms.conv_stem.weight)
    (dumped,) = (tmp_path / 'work').glob('*.py')
    assert Config.fromfile(dumped).load_from == str(path)


def test_a_deployed_checkpoint_scores_the_same_and_does_not_train(tmp_path, classifier):
    model = build_model(load_config(classifier))
    whole, deployed = tmp_path / 'whole.pth', tmp_path / 'deployed.pth'
    torch.save({'state_dict': model.state_dict()}, whole)
    model.backbone.switch_to_deploy()
    torch.save({'state_dict': model.state_dict()}, deployed)
    # Folding rounds each weight once more.
    torch.testing.assert_close(scores(classifier, whole), scores(classifier, deployed))
    with pytest.raises(WeightsError, match='deploy'):
        train(classifier, {'load_from': str(deployed)})


# Whether weights fit -------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self, width: int = 4, classes: int = 2) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))
        self.head = nn.Linear(4, classes)


def test_weights_of_the_same_model_fit_also_from_ddp_and_without_counters():
    content = {
        f'module.{name}': value
        for name, value in Net().state_dict().items()
        if 'num_batches_tracked' not in name
    }
    check_fit(Net(), {'state_dict': content}, 'x.pth')


def test_another_width_is_refused_with_both_shapes():
    words = (
        r'\(backbone\.0\.weight is \(8, 3, 1, 1\) in the file, \(4, 3, 1, 1\) here\)'
    )
    with pytest.raises(UserError, match=words):
        check_fit(Net(), Net(width=8).state_dict(), 'x.pth', strict=False)


def test_another_number_of_classes_is_refused_except_to_start_from():
    other = Net(classes=5).state_dict()
    with pytest.raises(UserError, match=r'head\.weight'):
        check_fit(Net(), other, 'x.pth')
    check_fit(Net(), other, 'x.pth', strict=False)


@pytest.mark.parametrize('strict', [True, False])
def test_weights_of_something_else_altogether_are_refused(strict):
    with pytest.raises(UserError, match='0 of 8 tensors fit'):
        check_fit(Net(), {'layer.weight': torch.zeros(1)}, 'x.pth', strict=strict)


def test_names_that_the_model_itself_translates_fit():
    class Renamed(Net):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            for name in [n for n in state_dict if n.startswith(f'{prefix}old.')]:
                state_dict[name.replace('old.', 'head.')] = state_dict.pop(name)
            super()._load_from_state_dict(state_dict, prefix, *args)

    state = {
        name.replace('head.', 'old.'): value
        for name, value in Net().state_dict().items()
    }
    check_fit(Renamed(), state, 'x.pth')
    with pytest.raises(UserError, match=r'unknown \(old\.'):
        check_fit(Net(), state, 'x.pth')
