"""Files are fetched once, from URLs and from the Hub, and read in every format."""

import io
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmengine import fileio
from mmengine.fileio import LocalBackend
from mmengine.logging import HistoryBuffer

from mmghost.models import GhostNetV2
from mmghost.weights import WeightsError, load_pretrained, mindspore
from mmghost.weights.reading import HAS_SAFE_GLOBALS, read
from tests.weights.conftest import WIDTH, closed_address, small_state
from tests.weights.writers import field, varint, write_mindspore


def content_of(state) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


# URLs. ----------------------------------------------------------------------------------


def test_a_url_is_fetched_once_into_the_cache_of_torch_hub(server, torch_home):
    url = server.serve('ghostnetv2-1.0.pth', content_of(small_state()))
    server.requests.clear()
    for _ in range(2):
        backbone = GhostNetV2(WIDTH)
        load_pretrained(backbone, url)
        assert torch.equal(backbone.bn1.weight, small_state()['bn1.weight'])
    assert server.requests == ['/ghostnetv2-1.0.pth']
    with pytest.raises(WeightsError, match=r'is not the file of .*#sha256=00: remove'):
        read(f'{url}#sha256=00')
    assert (torch_home / 'ghostnetv2-1.0.pth').is_file()


def test_other_places_are_read_by_mmengines_file_backends(tmp_path):
    torch.save(small_state(), tmp_path / 'local.pth')

    class Backend(LocalBackend):
        def get_local_path(self, filepath):
            return nullcontext(tmp_path / 'local.pth')

    fileio.register_backend('ghost', Backend, prefixes='ghost', force=True)
    load_pretrained(GhostNetV2(WIDTH), 'ghost://bucket/a.pth')


# The Hugging Face Hub. ------------------------------------------------------------------


@pytest.fixture()
def hub(server, tmp_path, monkeypatch):
    """Have huggingface_hub ask the test's server, as HF_ENDPOINT would."""
    pytest.importorskip('safetensors')
    constants = pytest.importorskip('huggingface_hub.constants')
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setattr(constants, 'HF_HUB_DISABLE_XET', True)

    def ask(address: str) -> None:
        monkeypatch.setattr(constants, 'ENDPOINT', address)
        template = address + '/{repo_id}/resolve/{revision}/{filename}'
        monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)

    ask(server.address)
    return ask


@pytest.mark.parametrize(
    'checkpoint',
    [
        'timm/ghostnetv2_025.in1k',
        'hf-hub:timm/ghostnetv2_025.in1k',
        'https://huggingface.co/timm/ghostnetv2_025.in1k/resolve/main/model.safetensors',
    ],
)
def test_a_model_of_timm_is_fetched_from_the_hub_once(checkpoint, hub, server):
    from safetensors.torch import save

    name = 'timm/ghostnetv2_025.in1k/resolve/main/model.safetensors'
    server.serve(name, save(small_state()))
    init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    backbone = GhostNetV2(WIDTH, init_cfg=init_cfg)
    backbone.init_weights()
    assert torch.equal(backbone.bn1.weight, small_state()['bn1.weight'])
    hub(closed_address())
    load_pretrained(GhostNetV2(WIDTH), checkpoint)


@pytest.mark.parametrize(
    ('name', 'hint'),
    [
        ('timm/ghostnetv9_100.in1k', 'did you mean timm/ghostnetv3_100.in1k'),
        ('timm/ghostnetv2_100.in1k', 'unset HF_ENDPOINT'),
    ],
)
def test_a_name_that_the_hub_or_a_mirror_does_not_have_is_refused(
    name, hint, hub, server
):
    words = f'{server.address} has no {name}/model.safetensors; {hint}'
    with pytest.raises(WeightsError, match=words):
        read(name)


def test_without_a_network_the_hub_is_asked_once(hub):
    hub(closed_address())
    start = time.monotonic()
    with pytest.raises(
        WeightsError, match=r'cannot be fetched from .*refused.*its path'
    ):
        read('timm/ghostnetv2_100.in1k')
    assert time.monotonic() - start < 10  # huggingface_hub's own six tries take 23 s


def test_a_remote_file_that_cannot_be_had_is_refused():
    with pytest.raises(
        WeightsError, match=r'gs://b/x.pth: cannot be fetched .*its path'
    ):
        read('gs://b/x.pth')


# Formats. -------------------------------------------------------------------------------


@pytest.mark.parametrize('first', [0x50, 0x80], ids=['of a zip', 'of a pickle'])
def test_safetensors_are_known_whatever_the_length_of_their_header(tmp_path, first):
    safetensors = pytest.importorskip('safetensors.torch')
    contents = (
        safetensors.save({'a': torch.ones(1)}, dict(pad='x' * n)) for n in range(256)
    )
    content = next(found for found in contents if found[0] == first)
    (tmp_path / 'a.bin').write_bytes(content)
    assert read(tmp_path / 'a.bin').format == 'safetensors'


@pytest.mark.skipif(not HAS_SAFE_GLOBALS, reason='torch < 2.6')
def test_numbers_of_numpy_beside_the_weights_are_kept(tmp_path):
    meta = dict(
        lr=np.float64(0.1),
        count=np.int64(-3),
        palette=np.arange(6, dtype=np.uint8).reshape(2, 3),
        part=slice(1, 5),
    )
    log = dict(loss=HistoryBuffer([1.0, 2.5], [1, 2]))
    content = dict(state_dict={'a': torch.ones(1)}, meta=meta, message_hub=log)
    torch.save(content, tmp_path / 'a.pth')
    found = read(tmp_path / 'a.pth').meta
    assert (found['lr'], found['count'], found['part']) == (0.1, -3, slice(1, 5))
    assert np.array_equal(found['palette'], meta['palette'])


@pytest.mark.skipif(HAS_SAFE_GLOBALS, reason='torch >= 2.6')
def test_old_torch_refuses_a_checkpoint_of_a_training_with_the_remedy(tmp_path):
    content = dict(state_dict={'a': torch.ones(1)}, log=HistoryBuffer([1.0], [1]))
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match=r'torch 2\.6 or newer reads'):
        read(tmp_path / 'a.pth')


@pytest.mark.parametrize('packed', [False, True])
def test_mindspores_tensors_are_read_as_written(packed, tmp_path):
    state = {
        'conv_stem.weight': torch.randn(4, 3, 3, 3),
        'blocks.0.half': torch.randn(2, 2).half(),
        'blocks.0.brain': torch.randn(3).bfloat16(),
        'step': torch.tensor([7], dtype=torch.int32),
    }
    string = field(1, b'note') + field(2, field(2, b'str') + field(3, b'hello'))
    scalar = field(1, 0) + field(2, b'Float32') + field(3, b'\0\0\x20\x40')
    content = (
        write_mindspore(state, packed)
        + field(1, string)
        + field(1, field(1, b'lr') + field(2, scalar))
        + varint(7 << 3 | 5)  # a field that later versions may add
        + b'1234'
        + b'crc_num'
        + b'0' * 10
    )
    (tmp_path / 'a.ckpt').write_bytes(content)
    found = read(tmp_path / 'a.ckpt')
    assert found.format == 'MindSpore'
    assert found.state.keys() == {*state, 'lr'}
    assert found.state['lr'].shape == () and found.state['lr'] == 2.5
    for name, value in state.items():
        assert found.state[name].dtype == value.dtype
        assert torch.equal(found.state[name], value)


def test_a_tensor_of_another_size_than_its_shape_is_refused():
    dims = field(1, 1 << 40) + field(1, 1 << 40)
    body = dims + field(2, b'Float32') + field(3, b'1234')
    content = field(1, field(1, b'conv_stem.weight') + field(2, body))
    with pytest.raises(WeightsError, match=r'damaged .*conv_stem\.weight'):
        mindspore.read(content, 'a.ckpt')
