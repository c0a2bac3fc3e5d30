"""Published files hold the best weights, alone, and their own hash."""

import hashlib
import re

import pytest
import torch

from mmghost.models import GhostNetV1
from mmghost.weights import WeightsError, load_pretrained, publish
from tests.helpers import randomise

WIDTH = 0.25


@pytest.fixture()
def states():
    """Return the weights of a training and their average."""
    model = GhostNetV1(WIDTH)
    trained = {n: v.clone() for n, v in randomise(model, seed=1).state_dict().items()}
    averaged = {n: v.clone() for n, v in randomise(model, seed=2).state_dict().items()}
    return trained, averaged


def test_only_weights_and_useful_notes_stay(states, tmp_path):
    trained, _ = states
    content = {
        'meta': {'epoch': 3, 'time': 'now', 'dataset_meta': {'classes': ('a', 'b')}},
        'state_dict': {f'module.backbone.{name}': v for name, v in trained.items()},
        'optimizer': {'state': {0: torch.zeros(1000)}},
        'message_hub': {},
    }
    torch.save(content, tmp_path / 'epoch_3.pth')
    path = publish(tmp_path / 'epoch_3.pth', tmp_path / 'model.pth')
    found = torch.load(path, weights_only=True)
    assert found.keys() == {'meta', 'state_dict'}
    assert found['meta']['epoch'] == 3
    assert found['meta']['dataset_meta'] == {'classes': ('a', 'b')}
    assert 'time' not in found['meta']
    assert found['state_dict'].keys() == {f'backbone.{name}' for name in trained}
    load_pretrained(GhostNetV1(WIDTH), path)


def test_the_name_holds_the_files_hash(states, tmp_path):
    torch.save(states[0], tmp_path / 'a.pth')
    (tmp_path / 'model.pth').write_text('somebody else’s')
    path = publish(tmp_path / 'a.pth', tmp_path / 'model.pth')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'model-{digest[:8]}.pth'
    assert (tmp_path / 'model.pth').read_text() == 'somebody else’s'
    again = publish(path, tmp_path / path.name)
    assert re.fullmatch(r'model-[0-9a-f]{8}\.pth', again.name)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == sorted({'a.pth', 'model.pth', path.name, again.name})


@pytest.mark.parametrize('end', ['20240131', 'deadbeef'])
def test_a_date_or_a_word_at_the_end_of_the_name_stays(states, tmp_path, end):
    torch.save(states[0], tmp_path / 'a.pth')
    path = publish(tmp_path / 'a.pth', tmp_path / f'net-{end}.pth')
    assert re.fullmatch(rf'net-{end}-[0-9a-f]{{8}}\.pth', path.name)


def test_timms_ema_weights_are_taken(states, tmp_path):
    trained, averaged = states
    content = {'state_dict': trained, 'state_dict_ema': averaged}
    torch.save(content, tmp_path / 'last.pth.tar')
    path = publish(tmp_path / 'last.pth.tar', tmp_path / 'model.pth')
    found = torch.load(path, weights_only=True)['state_dict']
    assert all(torch.equal(found[name], averaged[name]) for name in averaged)


def test_mmengines_ema_weights_are_taken(states, tmp_path):
    """Its hook swaps them: `state_dict` has the average, the other the training's."""
    trained, averaged = states
    ema = {f'module.{name}': value for name, value in trained.items()}
    content = {
        'state_dict': averaged,
        'ema_state_dict': {**ema, 'steps': torch.ones(())},
    }
    torch.save(content, tmp_path / 'epoch_1.pth')
    path = publish(tmp_path / 'epoch_1.pth', tmp_path / 'model.pth')
    found = torch.load(path, weights_only=True)['state_dict']
    assert found.keys() == averaged.keys()
    assert all(torch.equal(found[name], averaged[name]) for name in averaged)


def test_weights_that_are_nan_are_not_published(states, tmp_path):
    states[0]['bn1.bias'][0] = float('nan')
    torch.save(states[0], tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match=r'bn1\.bias has 1 of 4 numbers'):
        publish(tmp_path / 'a.pth', tmp_path / 'model.pth')
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']


def test_the_ending_must_be_pth(states, tmp_path):
    torch.save(states[0], tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match=r'ends in \.pth'):
        publish(tmp_path / 'a.pth', tmp_path / 'model.tar')


def test_the_door_prints_what_it_wrote(states, tmp_path, door, capsys):
    torch.save(states[0], tmp_path / 'a.pth')
    door('publish_model.py', tmp_path / 'a.pth', tmp_path / 'model.pth')
    written = next(tmp_path.glob('model-*.pth'))
    assert capsys.readouterr().out.startswith(f'{written}: ')
