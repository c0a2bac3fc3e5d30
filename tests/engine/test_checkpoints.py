"""Checkpoints as files, and whether they fit a model."""

import collections
import contextlib
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import nn

from mmghost.engine.checkpoints import (
    check_file,
    check_fit,
    compare,
    foreign_code,
    is_whole,
    last_whole,
    set_aside,
    state_dict_of,
)
from mmghost.errors import UserError
from mmghost.weights import WeightsError
from mmghost.weights.reading import format_of
from tests.weights.writers import write_mindspore


def save(path: Path, **more) -> Path:
    torch.save({'state_dict': {'weight': torch.randn(64, 64)}, **more}, path)
    return path


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


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


def test_no_changed_byte_in_the_archives_directory_ends_in_an_error(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': {'weight': torch.ones(4)}}, path)
    content = path.read_bytes()
    found = set()
    for at in range(content.index(b'PK\x01\x02'), len(content)):
        value = (8, 0x80)[at % 2]
        path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
        found.add(is_whole(path))
        with contextlib.suppress(WeightsError):  # in the words for damaged files
            format_of(path, 'epoch_1.pth')
    assert False in found


@pytest.mark.parametrize(
    ('at', 'value'),
    [(6, 0x80), (8, 1), (10, 8)],
    ids=['version', 'encrypted', 'compressed'],
)
def test_resume_passes_over_a_damaged_directory(tmp_path, at, value):
    save(tmp_path / 'epoch_1.pth')
    content = bytearray(save(tmp_path / 'epoch_2.pth').read_bytes())
    content[content.index(b'PK\x01\x02') + at] = value
    (tmp_path / 'epoch_2.pth').write_bytes(content)
    assert last_whole(tmp_path).name == 'epoch_1.pth'


def test_resume_takes_the_last_whole_checkpoint_by_number(tmp_path):
    for epoch in (2, 9, 10):
        save(tmp_path / f'epoch_{epoch}.pth')
    save(tmp_path / 'best_mAP_epoch_11.pth')  # kept for its score, not the latest state
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_10.pth'))
    assert last_whole(tmp_path).name == 'epoch_10.pth'
    cut(tmp_path / 'epoch_10.pth')
    assert last_whole(tmp_path).name == 'epoch_9.pth'


def test_resume_finds_the_checkpoint_after_the_folder_was_moved(tmp_path):
    save(tmp_path / 'iter_40.pth')
    (tmp_path / 'last_checkpoint').write_text('/gone/iter_40.pth')
    assert last_whole(tmp_path) == tmp_path / 'iter_40.pth'


def test_a_copied_folder_goes_on_from_its_own_checkpoint(tmp_path):
    original, copied = tmp_path / 'a', tmp_path / 'b'
    original.mkdir()
    save(original / 'iter_40.pth')
    (original / 'last_checkpoint').write_text(str(original / 'iter_40.pth'))
    shutil.copytree(original, copied)
    assert last_whole(copied) == copied / 'iter_40.pth'


def test_a_checkpoint_that_is_kept_elsewhere_is_found(tmp_path):
    kept, work = tmp_path / 'kept', tmp_path / 'work'
    kept.mkdir()
    work.mkdir()
    save(kept / 'iter_40.pth')
    (work / 'last_checkpoint').write_text(str(kept / 'iter_40.pth'))
    assert last_whole(work) == kept / 'iter_40.pth'


def test_no_checkpoint_is_not_an_error_but_only_broken_ones_are(tmp_path):
    assert last_whole(tmp_path) is None
    cut(save(tmp_path / 'epoch_1.pth'))
    with pytest.raises(UserError, match=r'epoch_1\.pth'):
        last_whole(tmp_path)


def test_earlier_checkpoints_are_moved_aside_and_nothing_else(tmp_path):
    for name in ('epoch_1.pth', 'best_coco_bbox_mAP_epoch_1.pth', 'iter_5.pth'):
        save(tmp_path / name)
    save(tmp_path / 'pretrained.pth')
    (tmp_path / 'last_checkpoint').write_text('x')
    folder = set_aside(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        'best_coco_bbox_mAP_epoch_1.pth',
        'epoch_1.pth',
        'iter_5.pth',
        'last_checkpoint',
    ]
    assert (tmp_path / 'pretrained.pth').is_file()
    assert set_aside(tmp_path) is None


class Payload:
    def __reduce__(self):
        return os.system, ('echo this must never run',)


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('protocol', [2, 4])
def test_code_in_a_checkpoint_is_named_and_never_run(tmp_path, zipped, protocol):
    path = tmp_path / 'epoch_1.pth'
    torch.save(
        {'state_dict': {}, 'meta': Payload()},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    assert foreign_code(path) == {f'{os.system.__module__}.system'}
    with pytest.raises(UserError, match=r'would run code.*posix\.system'):
        check_file(str(path))


def test_a_plain_pickle_is_named_for_what_it_would_run(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(pickle.dumps(Payload(), protocol=2))
    with pytest.raises(UserError):
        check_file(str(path))


def test_what_mmengine_saves_counts_as_plain_data(tmp_path):
    buffer = HistoryBuffer()
    buffer.update(1.5)
    path = save(
        tmp_path / 'epoch_1.pth',
        meta=collections.OrderedDict(epoch=1, lr=np.float64(0.1), seen={1, 2}),
        message_hub={'log_scalars': {'loss': buffer}},
        half=torch.zeros(2, dtype=torch.bfloat16),
        param=nn.Parameter(torch.zeros(2)),
    )
    assert foreign_code(path) == set()
    check_file(str(path))
    content = CheckpointLoader.load_checkpoint(str(path))
    assert content['message_hub']['log_scalars']['loss'].current() == 1.5
    if hasattr(torch.serialization, 'get_safe_globals'):
        # For other programs of this process torch allows no more than before.
        assert getattr not in torch.serialization.get_safe_globals()


def test_files_of_formats_without_code_are_checkpoints_too(tmp_path):
    state = {'weight': torch.ones(2, 2)}
    mindspore, safetensors = tmp_path / 'a.ckpt', tmp_path / 'a.safetensors'
    mindspore.write_bytes(write_mindspore(state))
    pytest.importorskip('safetensors.torch').save_file(state, safetensors)
    for path in (mindspore, safetensors):
        check_file(str(path))


def test_a_checkpoint_may_be_named_from_the_persons_own_folder(tmp_path, monkeypatch):
    """As ``load_from`` of a config, where no shell puts the folder in place of ``~``."""
    save(tmp_path / 'a.pth')
    monkeypatch.setenv('HOME', str(tmp_path))
    check_file('~/a.pth')
    with pytest.raises(
        UserError, match=r'b\.pth: there is no such file; did you mean a'
    ):
        check_file('~/b.pth')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'no such file'),
        (b'', 'cut short or is damaged'),
        (b'<html>not found</html>', 'not a checkpoint'),
    ],
    ids=['missing', 'empty', 'html'],
)
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / 'weights.pth'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf'weights\.pth.*{message}'):
        check_file(str(path))


def test_a_path_beside_the_mark_is_answered_with_what_there_is(tmp_path):
    """Which epoch was the best differs from one training to the next."""
    save(tmp_path / 'best_coco_bbox_mAP_epoch_3.pth')
    with pytest.raises(
        UserError, match=r'no such file; did you mean best_coco_bbox_mAP_epoch_3\.pth'
    ):
        check_file(str(tmp_path / 'best_coco_bbox_mAP_epoch_4.pth'))
    with pytest.raises(
        UserError, match=r'is a folder; name a file in it, such as best_coco'
    ):
        check_file(str(tmp_path))


def test_a_broken_file_is_answered_with_the_whole_one_beside_it(tmp_path):
    save(tmp_path / 'epoch_1.pth')
    cut(save(tmp_path / 'epoch_2.pth'))
    with pytest.raises(
        UserError, match=r'epoch_2\.pth was cut short.*epoch_1\.pth is whole'
    ):
        check_file(str(tmp_path / 'epoch_2.pth'))


class Net(nn.Module):
    def __init__(self, width: int = 4, classes: int = 2) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))
        self.head = nn.Linear(4, classes)


def test_weights_of_the_same_model_fit_also_from_ddp_and_without_counters():
    state = {
        f'module.{name}': value
        for name, value in Net().state_dict().items()
        if 'num_batches_tracked' not in name
    }
    assert compare(Net(), state_dict_of({'state_dict': state}))
    check_fit(Net(), {'state_dict': state}, 'x.pth')


def test_another_width_is_refused_with_both_shapes():
    with pytest.raises(
        UserError,
        match=r'backbone\.0\.weight is \(8, 3, 1, 1\) in the file, \(4, 3, 1, 1\)',
    ):
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
    assert compare(Renamed(), state)
    assert not compare(Net(), state)
