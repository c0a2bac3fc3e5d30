"""Bad files and settings are refused with the reason, and nothing is loaded."""

import functools
import gzip
import pickle

import pytest
import torch
import torch.nn as nn

from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2, GhostNetV3
from mmghost.weights import WeightsError
from mmghost.weights.reading import HAS_SAFE_GLOBALS
from tests.weights.conftest import WIDTH, closed_address, small_state
from tests.weights.crafted import ATTACKS, TRACE
from tests.weights.writers import mindspore_names, write_mindspore

SMALL = {'conv_stem.weight': torch.ones(2, 2)}


class Net(nn.Module):
    """A model that is pickled whole."""


def changed(**values) -> dict[str, torch.Tensor]:
    """Return good weights with some changed, added, or left out for None."""
    values = {name.replace('__', '.'): value for name, value in values.items()}
    state = {**small_state(), **values}
    return {name: value for name, value in state.items() if value is not None}


def torch_bytes(content, folder, **kwargs) -> bytes:
    torch.save(content, folder / 'content', **kwargs)
    return (folder / 'content').read_bytes()


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def script(folder) -> bytes:
    torch.jit.script(nn.Linear(2, 2)).save(str(folder / 'content'))
    return (folder / 'content').read_bytes()


def legacy(content, folder) -> bytes:
    return torch_bytes(content, folder, _use_new_zipfile_serialization=False)


NAN = torch.tensor([float('nan'), 1.0, 1.0, 1.0])
SEVERAL = {f'{n}.backbone.conv_stem.weight': torch.ones(1) for n in 'ab'}
DAMAGED = 'is cut short or damaged'

# fmt: off
# What is wrong: content of the file (bytes, or what torch.save writes), and the message.
FILES = {
    'empty': (b'', 'is empty'),
    'a text': (b'Here are my weights.', "begins with b'Here are my weights"),
    'a web page': (b'\n<!DOCTYPE html>\n<html>', 'use the link that downloads'),
    'a Git LFS pointer': (b'version https://git-lfs.github.com/spec/v1', 'git lfs pull'),
    'compressed': (gzip.compress(b'weights'), 'Weights are files of torch.save'),
    'half a file': (lambda f: half(torch_bytes(SMALL, f)), DAMAGED),
    'a flipped bit': (lambda f: flipped(torch_bytes(small_state(), f)), DAMAGED),
    'half a file of before 2020': (lambda f: half(legacy(small_state(), f)), DAMAGED),
    'half a file of MindSpore': (lambda f: half(write_mindspore(mindspore_names(small_state()))), DAMAGED),
    'half a safetensors file': (lambda f: half(pytest.importorskip('safetensors.torch').save(SMALL)), DAMAGED),
    'another pickle': (pickle.dumps([1, 2]), DAMAGED),
    'a whole model': (lambda f: Net(), 'save its weights alone: torch.save'),
    'a TorchScript program': (script, 'TorchScript file' if HAS_SAFE_GLOBALS else 'no state_dict'),
    'a tensor': (torch.ones(2), 'holds a Tensor, no state_dict'),
    'an optimizer': ({'optimizer': {}, 'epoch': 3}, "it has 'optimizer', 'epoch'"),
    'a ResNet': ({'conv1.weight': torch.ones(1)}, 'has no GhostNet'),
    'several networks': (SEVERAL, 'choose one with prefix='),
    'a list for a tensor': (changed(bn1__bias=[1.0]), 'bn1.bias is a list'),
    'NaN': (changed(bn1__bias=NAN), 'bn1.bias has 1 of 4 values that are NaN'),
    'int8': (changed(bn1__bias=torch.ones(4, dtype=torch.int8)), 'bn1.bias holds torch.int8'),
    'a missing weight': (changed(bn1__bias=None), '1 missing (bn1.bias)'),
    'an unknown weight': (changed(bn1__x=torch.ones(1)), '1 unknown (bn1.x)'),
    'a misshapen weight': (changed(bn1__bias=torch.ones(9)), '1 of another shape (bn1.bias is (9,) in the file, (4,) here)'),
    'another width': (lambda f: GhostNetV2(0.5).state_dict(), 'is a GhostNetV2 of width 0.5; set widen_factor=0.5'),
    'V1': (lambda f: small_state(dfc=None), "use type='GhostNetV1'"),
    'V3': (lambda f: GhostNetV3(WIDTH).state_dict(), "load it into type='GhostNetV3'"),
    'a deployed network': (lambda f: GhostNetV2(WIDTH, deploy=True).state_dict(), 'run it with deploy=True; to train, load its source'),
    'another kernel of DFC': (lambda f: GhostNetV2(WIDTH, dfc=dict(kernel_size=7)).state_dict(), 'the kernel sizes of its DFC attention are 7'),
    'a network cut off': (lambda f: small_state(GhostNetV2, out_indices=(2,)), 'the file ends with blocks.4'),
}
# What is wrong with a good file or its settings: the network, init_cfg, the message.
V2, V3_FILE = GhostNetV2, dict(checkpoint='v3.pth')
SETTINGS = {
    'V1 for V2 weights': (GhostNetV1, {}, {}, "use type='GhostNetV2'"),
    'a deployed form': (V2, dict(deploy=True), {}, 'load it without deploy=True, then call switch_to_deploy()'),
    'other classes': (GhostNetClassifier, dict(num_classes=10), {}, 'the file is for 1000 classes, not 10'),
    'a wrong prefix': (V2, {}, dict(prefix='encoder'), "it has ''"),
    'another width, not strict': (V2, dict(widen_factor=0.5), dict(strict=False), '0 of 633 tensors fit'),
    'no checkpoint': (V2, {}, dict(checkpoint=None), 'needs checkpoint='),
    'V3 weights for V1': (GhostNetV1, {}, V3_FILE, "use type='GhostNetV3'"),
    'V3 weights, deploy=True': (GhostNetV3, dict(deploy=True), V3_FILE, 'without deploy=True'),
    'V3 weights for a deployed V2': (V2, dict(deploy=True), V3_FILE, 'without deploy=True'),
    'V3 weights, half': (V2, dict(norm_eval=True), dict(checkpoint='half.pth'), 'lack blocks.0.0'),
    'a misspelt path': (V2, {}, dict(checkpoint='weights.pht'), 'did you mean weights.pth?'),
    'a folder': (V2, {}, dict(checkpoint='.'), 'is a folder; name a file in it'),
}
# fmt: on


@functools.cache
def backbone() -> GhostNetV2:
    return GhostNetV2(WIDTH)


def refusal(network, init_cfg, folder) -> str:
    """Return the message, after checking that the network is unchanged."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.init_cfg, network.is_init = dict(type='Pretrained', **init_cfg), False
    with pytest.raises(WeightsError) as error:
        network.init_weights()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert not (folder / TRACE).exists()
    return str(error.value)


@pytest.mark.parametrize('what', FILES)
def test_a_bad_file_is_refused(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, says = FILES[what]
    content = content(tmp_path) if callable(content) else content
    if not isinstance(content, bytes):
        content = torch_bytes(content, tmp_path)
    (tmp_path / 'weights.pth').write_bytes(content)
    said = refusal(backbone(), dict(checkpoint='weights.pth'), tmp_path)
    assert said.startswith('weights.pth: ') and says in said


@pytest.mark.parametrize('what', SETTINGS)
def test_a_wrong_setting_is_refused(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(small_state(), 'weights.pth')
    v3 = small_state(GhostNetV3)
    torch.save(v3, 'v3.pth')
    torch.save({n: v for n, v in v3.items() if 'scale.bn' not in n}, 'half.pth')
    cls, kwargs, init_cfg, says = SETTINGS[what]
    network = cls(**{'widen_factor': WIDTH, **kwargs})
    assert says in refusal(
        network, dict(dict(checkpoint='weights.pth'), **init_cfg), tmp_path
    )


@pytest.mark.parametrize('what', ATTACKS)
@pytest.mark.parametrize('zipped', [True, False])
def test_nothing_in_a_file_is_executed(what, zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = {'state_dict': small_state(), 'meta': ATTACKS[what]}
    torch.save(content, 'weights.pth', _use_new_zipfile_serialization=zipped)
    pickle.loads(pickle.dumps(ATTACKS[what]))
    (tmp_path / TRACE).unlink()  # an ordinary reader executes it
    said = refusal(backbone(), dict(checkpoint='weights.pth'), tmp_path)
    # It depends on the version of torch.
    assert 'would run code' in said or DAMAGED in said


URLS = {
    'unknown to the server': ('/gone.pth', 'HTTP Error 404'),
    'a web page': ('/page.pth', 'is a web page'),
    'another checksum': (
        '/weights-abcdef01.pth',
        'does not have the checksum abcdef01',
    ),
    'another checksum in the URL': ('/ok.pth#sha256=ab12', 'have the checksum ab12'),
}


@pytest.mark.parametrize('what', URLS)
def test_a_bad_url_is_refused(what, tmp_path, server, torch_home):
    server.serve('page.pth', b'<!DOCTYPE html>')
    for name in ('ok.pth', 'weights-abcdef01.pth'):
        server.serve(name, torch_bytes(small_state(), tmp_path))
    url, says = URLS[what]
    said = refusal(backbone(), dict(checkpoint=server.address + url), tmp_path)
    assert says in said


def test_without_a_network_the_message_has_the_ways_out(tmp_path, torch_home):
    url = f'{closed_address()}/weights.pth'
    said = refusal(backbone(), dict(checkpoint=url), tmp_path)
    assert f'cannot be fetched to {torch_home}/weights.pth' in said
    assert 'download it elsewhere and give its path' in said and 'init_cfg=None' in said
