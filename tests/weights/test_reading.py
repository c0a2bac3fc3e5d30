"""Files are brought from wherever they are, once, and read without running code."""

import builtins
import hashlib
import io
import os
import pickle
import subprocess
import zipfile
from argparse import Namespace
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine import fileio
from mmengine.fileio import BaseStorageBackend
from mmengine.logging import HistoryBuffer

from mmghost.models import GhostNetV1, GhostNetV2
from mmghost.weights import WeightsError, catalogue, load_pretrained, pickles, reading
from tests.helpers import randomise
from tests.weights.writers import mindspore_names, write_mindspore

WIDTH = 0.25


def content_of(model) -> bytes:
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    return stream.getvalue()


def test_a_url_is_fetched_once_into_torchs_cache(server, torch_home):
    source = GhostNetV1(WIDTH)
    url = server.serve('ghost.pth', content_of(source))
    backbone = GhostNetV1(WIDTH, init_cfg=dict(type='Pretrained', checkpoint=url))
    server.requests.clear()
    backbone.init_weights()
    load_pretrained(GhostNetV1(WIDTH), url)
    assert server.requests == ['/ghost.pth']
    assert (torch_home / 'ghost.pth').is_file()
    assert torch.equal(backbone.conv_stem.weight, source.conv_stem.weight)


def test_a_file_put_into_the_cache_by_hand_needs_no_network(server, torch_home):
    torch_home.mkdir(parents=True)
    (torch_home / 'ghost.pth').write_bytes(content_of(GhostNetV1(WIDTH)))
    load_pretrained(GhostNetV1(WIDTH), server.closed_url('ghost.pth'))


def test_two_urls_with_one_name_do_not_share_a_file(server, torch_home):
    for folder, value in (('a', 1.0), ('b', 2.0), ('a', 1.0)):
        model = randomise(GhostNetV1(WIDTH), seed=int(value))
        url = server.serve(f'{folder}/ghost.pth', content_of(model))
        backbone = GhostNetV1(WIDTH)
        load_pretrained(backbone, f'{url}?token={value}')
        assert torch.equal(backbone.conv_stem.weight, model.conv_stem.weight)
    files = [path for path in torch_home.iterdir() if path.suffix == '.pth']
    assert len(files) == 2 and torch_home / 'ghost.pth' in files
    assert 'token' not in (torch_home / 'ghost.pth.url').read_text()


@pytest.mark.parametrize('name', ['ghostnetv2-1.0.pth', 'ghost-20240131.pth'])
def test_a_version_or_a_date_in_a_name_is_no_checksum(name, server, torch_home):
    load_pretrained(
        GhostNetV1(WIDTH), server.serve(name, content_of(GhostNetV1(WIDTH)))
    )
    assert (torch_home / name).is_file()


def fetched_in_a_group(rank: int, url: str, folder: str, world: int) -> None:
    """Fetch a file in one of several processes; keep its path or the error."""
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world
    )
    try:
        said = str(reading.fetch(url))
    except WeightsError as error:
        said = f'WeightsError: {error}'
    Path(folder, f'{rank}.txt').write_text(said)
    dist.barrier()  # torch 2.1 may hang where one leaves before the other
    dist.destroy_process_group()


def fetch_in_two_processes(url: str, folder: Path) -> list[str]:
    # Spawned: a fork of a process with threads, as this one's, may hang on their locks.
    torch.multiprocessing.spawn(fetched_in_a_group, (url, str(folder), 2), nprocs=2)
    return [(folder / f'{rank}.txt').read_text() for rank in range(2)]


def test_of_two_processes_one_fetches_and_the_other_waits(server, torch_home, tmp_path):
    url = server.serve('ghost.pth', content_of(GhostNetV1(WIDTH)))
    server.requests.clear()
    said = fetch_in_two_processes(url, tmp_path)
    assert said == [str(torch_home / 'ghost.pth')] * 2
    assert server.requests == ['/ghost.pth']


def test_where_the_fetching_process_fails_both_end_in_the_same_words(
    server, torch_home, tmp_path
):
    server.requests.clear()
    first, second = fetch_in_two_processes(server.url('nothing.pth'), tmp_path)
    assert first == second and first.startswith('WeightsError') and '404' in first
    assert server.requests == ['/nothing.pth']


def test_where_the_cache_cannot_be_written_both_processes_say_so(
    server, torch_home, tmp_path
):
    torch_home.parent.mkdir(parents=True)
    torch_home.symlink_to('/proc')  # there, but not even root puts files into it
    url = server.serve('ghost.pth', content_of(GhostNetV1(WIDTH)))
    first, second = fetch_in_two_processes(url, tmp_path)
    assert first == second and f'cannot be put into {torch_home}' in first


def test_mindspores_file_is_taken_from_a_url(server, torch_home):
    source = GhostNetV2(WIDTH, out_indices=(5,))
    content = write_mindspore(mindspore_names(source.state_dict()))
    url = server.serve('ghostnetv2_1x.ckpt', content)
    backbone = GhostNetV2(WIDTH)
    load_pretrained(backbone, url)
    assert torch.equal(backbone.conv_stem.weight, source.conv_stem.weight)


def test_a_checksum_in_the_name_is_verified(server, torch_home):
    content = content_of(GhostNetV1(WIDTH))
    digest = hashlib.sha256(content).hexdigest()
    load_pretrained(GhostNetV1(WIDTH), server.serve(f'a-{digest[:8]}.pth', content))
    with pytest.raises(WeightsError, match='not the file that is known'):
        load_pretrained(GhostNetV1(WIDTH), server.serve('a-00000000.pth', content))
    assert not (torch_home / 'a-00000000.pth').exists()


def test_the_catalogues_checksum_is_verified_in_the_cache_too(
    server, torch_home, monkeypatch
):
    url = server.serve('ghost.pth', content_of(GhostNetV1(WIDTH)))
    load_pretrained(GhostNetV1(WIDTH), url)
    monkeypatch.setattr(reading, 'sha256_of', lambda source: 'f' * 64)
    with pytest.raises(WeightsError, match='is not the file known by this URL'):
        load_pretrained(GhostNetV1(WIDTH), url)


def test_every_published_file_has_a_place_of_its_own_in_the_cache():
    """On Hugging Face all of them are called model.safetensors."""
    urls = [w.url for e in catalogue.entries().values() for w in e.weights]
    assert len({reading.cached_path(url) for url in urls}) == len(urls)
    url = 'https://huggingface.co/timm/ghostnet_100.in1k/resolve/main/model.safetensors'
    name = reading.cached_path(url).name
    assert name == 'timm-ghostnet_100.in1k-model.safetensors'


def test_what_mmengines_file_backends_open_is_opened(tmp_path):
    content = content_of(GhostNetV1(WIDTH))

    class Shelf(BaseStorageBackend):
        def get(self, filepath):
            return content

        def get_text(self, filepath, encoding='utf-8'):
            raise NotImplementedError

        def get_local_path(self, filepath):
            @contextmanager
            def local():
                (tmp_path / 'local').write_bytes(content)
                yield str(tmp_path / 'local')

            return local()

    fileio.register_backend('shelf', Shelf, force=True, prefixes='shelf')
    load_pretrained(GhostNetV1(WIDTH), 'shelf://weights/ghost.pth')


def test_a_file_url_and_a_home_are_paths(tmp_path, monkeypatch):
    (tmp_path / 'a.pth').write_bytes(content_of(GhostNetV1(WIDTH)))
    load_pretrained(GhostNetV1(WIDTH), f'file://{tmp_path}/a.pth')
    monkeypatch.setenv('HOME', str(tmp_path))
    load_pretrained(GhostNetV1(WIDTH), '~/a.pth')
    load_pretrained(GhostNetV1(WIDTH), tmp_path / 'a.pth')


def test_a_file_is_known_by_its_content_whatever_its_name(tmp_path):
    (tmp_path / 'a.ckpt').write_bytes(content_of(GhostNetV1(WIDTH)))
    load_pretrained(GhostNetV1(WIDTH), tmp_path / 'a.ckpt')
    state = GhostNetV1(WIDTH).state_dict()
    (tmp_path / 'b.pth').write_bytes(write_mindspore(mindspore_names(state)))
    load_pretrained(GhostNetV1(WIDTH), tmp_path / 'b.pth')


# The reader of pickles. ----------------------------------------------------------------


class Attack:
    """Pickled, it calls a function with arguments when it is read."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def attacks():
    yield 'os.system', Attack(os.system, 'touch code_was_run')
    yield 'subprocess', Attack(subprocess.call, ['touch', 'code_was_run'])
    yield 'eval', Attack(builtins.eval, "open('code_was_run', 'w')")
    yield 'exec', Attack(builtins.exec, "open('code_was_run', 'w')")
    yield 'open', Attack(builtins.open, 'code_was_run', 'w')
    yield 'import', Attack(builtins.__import__, 'antigravity')
    yield 'torch.load', Attack(torch.load, 'other.pth')
    yield 'torch.hub.load', Attack(torch.hub.load, 'a/b', 'c')
    yield 'numpy.load', Attack(np.load, 'a.npy')


READERS = [False] + [True] * pickles._TORCH_TAKES_STAND_INS


@pytest.mark.parametrize('by_torch', READERS, ids=lambda t: 'torch' if t else 'ours')
@pytest.mark.parametrize('name', [name for name, _ in attacks()])
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_no_code_of_a_crafted_file_runs(name, by_torch, zipped, tmp_path, monkeypatch):
    """Neither past the check of names, nor in either of the readers behind it."""
    monkeypatch.chdir(tmp_path)
    content = {
        'state_dict': {'conv_stem.weight': torch.ones(1)},
        'meta': dict(attacks())[name],
    }
    torch.save(content, 'a.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match='would run code'):
        pickles.load(tmp_path / 'a.pth', 'a.pth')
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        pickles._load(tmp_path / 'a.pth', by_torch)
    assert not (tmp_path / 'code_was_run').exists()


@pytest.mark.parametrize('by_torch', READERS, ids=lambda t: 'torch' if t else 'ours')
def test_torchs_classes_cannot_be_patched(by_torch, tmp_path):
    """A BUILD on a class would set attributes of the class itself."""
    body = (
        pickle.PROTO + b'\x02' + pickle.GLOBAL + b'torch\nTensor\n'
        + pickle.EMPTY_DICT + pickle.BINUNICODE + b'\x07\x00\x00\x00patched'
        + pickle.NEWTRUE + pickle.SETITEM + pickle.BUILD + pickle.STOP
    )  # fmt: skip
    torch.save({}, tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth') as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / 'a.pth', 'w') as archive:
        for name, data in entries.items():
            archive.writestr(name, body if name.endswith('data.pkl') else data)
    with pytest.raises(Exception, match=r'(?i)build|state'):
        pickles._load(tmp_path / 'a.pth', by_torch)
    assert not hasattr(torch.Tensor, 'patched')


@pytest.mark.parametrize('by_torch', READERS, ids=lambda t: 'torch' if t else 'ours')
def test_bookkeeping_of_trainings_is_read_as_stand_ins(by_torch, tmp_path):
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    content = {
        'state_dict': {'conv_stem.weight': torch.ones(2)},
        'message_hub': {'log_scalars': {'loss': buffer}, 'epoch': np.float64(3)},
        'args': Namespace(lr=0.1),
        'param_schedulers': [{'milestones': Counter({8: 1}), 'seen': {1, 2}}],
    }
    torch.save(content, tmp_path / 'a.pth')
    found = pickles._load(tmp_path / 'a.pth', by_torch)
    assert torch.equal(found['state_dict']['conv_stem.weight'], torch.ones(2))
    assert isinstance(found['message_hub']['log_scalars']['loss'], pickles.StandIn)
    assert isinstance(found['args'], pickles.StandIn)
