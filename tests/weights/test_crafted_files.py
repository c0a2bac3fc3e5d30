"""No checkpoint runs code when it is read, however it was put together."""

import io
import os
import pickle
import random
from collections import Counter, OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmghost.engine.checkpoints import check_file
from mmghost.errors import UserError
from mmghost.weights import pickles
from tests.weights.crafted import (
    ATTACKS,
    PROTO_2,
    TRACE,
    archive,
    call,
    named,
    text,
    write,
)


@pytest.mark.parametrize('name', ATTACKS)
def test_mmengine_runs_nothing_of_a_crafted_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'would run code|archive with'):
        CheckpointLoader.load_checkpoint(str(write(tmp_path, name)), 'cpu')
    assert not (tmp_path / TRACE).exists()


@pytest.mark.parametrize('name', ['plain names', 'decoy', 'archive appended'])
def test_mmengine_runs_nothing_of_a_crafted_url(
    name, tmp_path, monkeypatch, server, torch_home
):
    monkeypatch.chdir(tmp_path)
    url = server.serve('weights.pth', ATTACKS[name]())
    check_file(url)  # what is not here yet cannot be looked at
    with pytest.raises(UserError, match='would run code'):
        CheckpointLoader.load_checkpoint(url, 'cpu')
    assert not (tmp_path / TRACE).exists()


@pytest.mark.parametrize('reader', [pickles._Unpickler, pickles._TrainingUnpickler])
@pytest.mark.parametrize('name', ATTACKS)
def test_the_readers_run_nothing_without_the_look_at_the_names(
    name, reader, tmp_path, monkeypatch
):
    """The look is for the words of the refusal: the reader is the barrier."""
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, name)
    if 'two entries' in name:  # the plain one may be the one that torch reads
        with suppress(pickle.UnpicklingError):
            pickles._load_by(reader, path, 'cpu')
    else:
        with pytest.raises(pickle.UnpicklingError, match='not allowed'):
            pickles._load_by(reader, path, 'cpu')
    assert not (tmp_path / TRACE).exists()


# The names of those are the names of any training: only the reader refuses them.
@pytest.mark.parametrize('name', [n for n in ATTACKS if not n.startswith('plain')])
def test_the_look_at_the_names_is_not_misled(name, tmp_path):
    with pytest.raises(UserError, match=r'would run code.*(eval|put together|entries)'):
        check_file(str(write(tmp_path, name)))


def test_who_trusts_a_file_may_have_it_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MMGHOST_TRUST_CHECKPOINT', '1')
    path = write(tmp_path, 'plain names')
    check_file(str(path))
    CheckpointLoader.load_checkpoint(str(path), 'cpu')
    assert (tmp_path / TRACE).exists()


@pytest.mark.parametrize(
    'content',
    [
        call(named('numpy', 'dtype'), pickle.NONE),
        call(named('numpy.core.multiarray', 'scalar'), pickle.NONE, pickle.NONE),
        named('mmengine.logging.history_buffer', 'HistoryBuffer')
        + pickle.EMPTY_TUPLE + pickle.NEWOBJ + pickle.EMPTY_DICT + pickle.BUILD,
        pickle.BINPERSID,
    ],
    ids=['dtype', 'scalar', 'history', 'storage'],
)  # fmt: skip
def test_malformed_bookkeeping_is_refused(content, tmp_path):
    path = tmp_path / 'a.pth'
    path.write_bytes(archive(PROTO_2 + pickle.NONE + content + pickle.STOP))
    with pytest.raises(UserError):
        pickles.load_training(path, 'a.pth')


def test_the_statistics_of_histories_cannot_be_replaced(tmp_path):
    """Torch's function for tensors with attributes would set any object's state."""
    kind = named('mmengine.logging.history_buffer', 'HistoryBuffer')
    changed = pickle.EMPTY_DICT + text('mean') + pickle.NONE + pickle.SETITEM
    state = pickle.EMPTY_DICT + text('statistics_methods') + changed + pickle.SETITEM
    rebuild = named('torch._tensor', '_rebuild_from_type_v2')
    content = call(rebuild, kind, kind, pickle.EMPTY_TUPLE, state)
    path = tmp_path / 'a.pth'
    path.write_bytes(archive(PROTO_2 + content + pickle.STOP))
    try:
        with pytest.raises(UserError):
            pickles.load_training(path, 'a.pth')
        assert HistoryBuffer([4.0], [2]).statistics('mean') == 2
    finally:
        HistoryBuffer._statistics_methods['mean'] = HistoryBuffer.mean


def test_a_program_is_no_checkpoint(tmp_path):
    path = tmp_path / 'a.pth'
    torch.jit.script(torch.nn.Linear(1, 1)).save(path)
    with pytest.raises(UserError, match='TorchScript'):
        CheckpointLoader.load_checkpoint(str(path))
    with pytest.raises(pickle.UnpicklingError, match='TorchScript'):
        pickles._load_by(pickles._TrainingUnpickler, path, 'cpu')


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'earlier format'])
def test_all_of_a_training_is_read_as_it_was_saved(zipped, tmp_path):
    history = HistoryBuffer([1.0, 2.5], [1, 2])
    parameter = torch.nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    content = {
        'meta': {'epoch': 3, 'seed': 5, 'dataset_meta': {'classes': ('a', 'b')}},
        'state_dict': OrderedDict(a=parameter, half=torch.ones(2).bfloat16()),
        'optimizer': optimizer.state_dict(),
        'message_hub': {
            'log_scalars': {'loss': history, 'none yet': HistoryBuffer()},
            'runtime_info': {
                'lr': np.float64(0.1), 'count': np.int64(-3), 'sure': np.bool_(True),
                'single': np.float32(0.3),
                'scores': np.arange(6, dtype=np.float32).reshape(2, 3),
                'columns': np.asfortranarray(np.arange(6).reshape(2, 3)),
                'names': np.array(['left', 'right']), 'nothing': b'', 'raw': b'\xff\0',
            },
        },
        'param_schedulers': [{'milestones': Counter({8: 1}), 'seen': {1, 2}}],
        'part': slice(1, 5, 2),
        'device': torch.device('cpu'),
        'random': {'python': random.getstate(), 'torch': torch.get_rng_state()},
    }  # fmt: skip
    path = tmp_path / 'iter_1.pth'
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    check_file(str(path))
    found = CheckpointLoader.load_checkpoint(str(path), 'cpu')
    read = found['message_hub']['log_scalars']['loss']
    assert type(read) is HistoryBuffer
    assert (read.current(), read.mean()) == (2.5, 3.5 / 3)
    assert read.max_length == history.max_length
    for ours, theirs in zip(read.data, history.data):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert len(found['message_hub']['log_scalars']['none yet'].data[0]) == 0
    infos = found['message_hub']['runtime_info']
    for name, value in content['message_hub']['runtime_info'].items():
        assert type(infos[name]) is type(value), name
        np.testing.assert_array_equal(infos[name], value)
    assert infos['columns'].flags.f_contiguous
    assert torch.equal(found['state_dict']['a'], parameter)
    assert found['state_dict']['half'].dtype is torch.bfloat16
    state = found['optimizer']['state'][0]
    for name, value in content['optimizer']['state'][0].items():
        assert torch.equal(state[name], value)
    for name in ('meta', 'param_schedulers', 'part', 'device'):
        assert found[name] == content[name], name
    assert found['random']['python'] == content['random']['python']
    again = io.BytesIO()
    torch.save(found, again)  # as when the resumed training saves


def test_forcing_weights_only_everywhere_is_no_hindrance(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    path = tmp_path / 'epoch_1.pth'
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save(dict(state_dict=dict(a=torch.ones(2)), message_hub=history), path)
    read = CheckpointLoader.load_checkpoint(str(path), 'cpu')
    assert read['message_hub'].mean() == 1.5
    assert os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] == '1'


@pytest.mark.parametrize('protocol', [3, 4, 5])
def test_weights_of_a_later_protocol_are_read(protocol, tmp_path):
    path = tmp_path / 'a.pth'
    state = {'a': torch.randn(2), 'b': torch.randn(3), 'c': {1, 2}}
    torch.save({'state_dict': state}, path, pickle_protocol=protocol)
    check_file(str(path))
    found = CheckpointLoader.load_checkpoint(str(path), 'cpu')['state_dict']
    assert torch.equal(found['b'], state['b']) and found['c'] == {1, 2}
