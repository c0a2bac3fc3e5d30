"""Bad files and settings: each is refused with a word on why, and nothing is loaded.

The table in docs/weights_errors.md is what these tests print;
MMGHOST_UPDATE_DOCS=1 python -m pytest -n0 tests/weights/test_bad_files.py writes it.
"""

import functools
import gzip
import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn as nn

from mmghost.models import GhostNetClassifier, GhostNetV1, GhostNetV2
from mmghost.weights import WeightsError
from tests.helpers import randomise
from tests.weights.writers import mindspore_names, write_mindspore

WIDTH = 0.25  # small files; the widths that are published behave the same
WIDE = 0.5


class Case(NamedTuple):
    """What is wrong, how it comes about, and a part of what must be said."""

    what: str
    make: Callable[[Path, Any], Any]
    says: str
    build: tuple = (GhostNetV2, {})


CASES: list[Case] = []


def case(what: str, says: str, cls: type = GhostNetV2, **kwargs: Any) -> Callable:
    """Register a function that makes a bad file, or a bad ``init_cfg``."""

    def add(make: Callable) -> Callable:
        CASES.append(Case(what, make, says, (cls, kwargs)))
        return make

    return add


@functools.cache
def good(cls: type = GhostNetClassifier, width: float = WIDTH, **kwargs: Any) -> dict:
    return dict(randomise(cls(width, **kwargs)).state_dict())


def save(folder: Path, content: Any, name: str = 'weights.pth', **kwargs: Any) -> str:
    torch.save(content, folder / name, **kwargs)
    return str(folder / name)


def write(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


class Net(nn.Module):
    """A model that is pickled whole."""


class RunsCode:
    def __reduce__(self):
        return os.system, ('touch code_was_run',)


# Files that are none. ------------------------------------------------------------------


@case('a path with a slip of the pen', 'did you mean ghostnetv2.pth?')
def _(folder, _server):
    save(folder, good(), 'ghostnetv2.pth')
    return str(folder / 'ghostnetv2.pht')


@case('a folder', 'is a folder; name a file in it, such as epoch_12.pth')
def _(folder, _server):
    save(folder, good(), 'epoch_12.pth')
    return str(folder)


@case('an empty file', 'is empty (0 bytes)')
def _(folder, _server):
    return write(folder, 'weights.pth', b'')


@case('a text file', "is a text that begins with 'Here are my weights.'")
def _(folder, _server):
    return write(folder, 'weights.pth', b'Here are my weights.\n')


@case('a web page, saved instead of the file', 'use the link that downloads the file')
def _(folder, _server):
    return write(folder, 'weights.pth', b'\n<!DOCTYPE html>\n<html lang="en">')


@case('a pointer of Git LFS', 'git lfs pull')
def _(folder, _server):
    text = b'version https://git-lfs.github.com/spec/v1\noid sha256:12ab\nsize 25\n'
    return write(folder, 'weights.pth', text)


@case('noise', 'weights are files of torch.save')
def _(folder, _server):
    return write(folder, 'weights.pth', bytes(range(200, 256)) * 10)


@case('a Keras file', 'is an HDF5 (Keras) file')
def _(folder, _server):
    return write(folder, 'weights.h5', b'\x89HDF\r\n\x1a\n' + bytes(100))


@case('a compressed file', 'is compressed (gzip); unpack it')
def _(folder, _server):
    return write(folder, 'weights.pth.gz', gzip.compress(b'weights', mtime=0))


@case('an archive with the file in it', 'is an archive with best.pth')
def _(folder, _server):
    with zipfile.ZipFile(folder / 'weights.zip', 'w') as archive:
        archive.writestr('best.pth', b'weights')
    return str(folder / 'weights.zip')


@case('arrays of NumPy', 'is an archive with a.npy')
def _(folder, _server):
    np.savez(folder / 'weights.npz', a=np.ones(2))
    return str(folder / 'weights.npz')


# Files that are damaged. ---------------------------------------------------------------


@case('half a file of torch', 'is cut short or damaged')
def _(folder, _server):
    content = Path(save(folder, good())).read_bytes()
    return write(folder, 'weights.pth', content[: len(content) // 2])


@case('a file of torch with a flipped bit', 'is cut short or damaged')
def _(folder, _server):
    content = bytearray(Path(save(folder, good())).read_bytes())
    content[len(content) // 2] ^= 1
    return write(folder, 'weights.pth', bytes(content))


@case("half a file in torch's format of before 2020", 'is cut short or damaged')
def _(folder, _server):
    path = save(folder, good(), _use_new_zipfile_serialization=False)
    content = Path(path).read_bytes()
    return write(folder, 'weights.pth', content[: len(content) // 2])


@case('half a file of MindSpore', 'is a damaged MindSpore checkpoint: a length of')
def _(folder, _server):
    content = write_mindspore(mindspore_names(good()))
    return write(folder, 'ghostnetv2_1x.ckpt', content[: len(content) // 2])


@case('half a file of safetensors', 'is cut short or damaged')
def _(folder, _server):
    content = pytest.importorskip('safetensors.torch').save(good())
    return write(folder, 'model.safetensors', content[: len(content) // 2])


# Files that would run code. ------------------------------------------------------------


@case('a pickle with code', 'would run code when it is read (posix.system)')
def _(folder, _server):
    return save(folder, {'state_dict': good(), 'meta': RunsCode()})


@case('the same, in the format of before 2020', 'would run code')
def _(folder, _server):
    return save(folder, RunsCode(), _use_new_zipfile_serialization=False)


@case('the same, not of torch at all', 'would run code')
def _(folder, _server):
    return write(folder, 'weights.pkl', pickle.dumps(RunsCode()))


@case('a whole model, pickled', 'save its state_dict')
def _(folder, _server):
    return save(folder, Net())


@case('a program of TorchScript', 'is a TorchScript program, not weights')
def _(folder, _server):
    torch.jit.script(nn.Linear(2, 2)).save(str(folder / 'model.pt'))
    return str(folder / 'model.pt')


# Files without a GhostNet. -------------------------------------------------------------


@case('a pickle of something else', 'is a pickle, but not one of torch.save')
def _(folder, _server):
    return write(folder, 'list.pkl', pickle.dumps([1, 2, 3]))


@case('a tensor by itself', 'holds a Tensor, not the weights of a network')
def _(folder, _server):
    return save(folder, torch.ones(2))


@case('the state of an optimizer', "holds no weights; it has 'optimizer', 'epoch'")
def _(folder, _server):
    return save(folder, {'optimizer': {'lr': 0.1}, 'epoch': 3})


@case('a checkpoint without a single weight', 'holds no GhostNet')
def _(folder, _server):
    return save(folder, {'state_dict': {}})


@case('the weights of a ResNet', 'no tensor is called conv_stem.weight; it has conv1')
def _(folder, _server):
    names = ('conv1.weight', 'bn1.weight', 'layer1.0.conv1.weight', 'fc.weight')
    return save(folder, {name: torch.ones(1) for name in names})


# Another GhostNet. ---------------------------------------------------------------------


@case('another width', 'the file is of width 0.5, this one of width 0.25')
def _(folder, _server):
    return save(folder, good(width=WIDE))


@case('another width, with strict=False', '0 of 633 tensors fit')
def _(folder, _server):
    return dict(checkpoint=save(folder, good(width=WIDE)), strict=False)


@case('V1 weights for a V2 backbone', "use type='GhostNetV1'")
def _(folder, _server):
    return save(folder, good(dfc=None))


@case('V2 weights for a V1 backbone', "use type='GhostNetV2'", GhostNetV1)
def _(folder, _server):
    return save(folder, good())


@case('DFC attention of another kernel size', 'set dfc=dict(kernel_size=7)')
def _(folder, _server):
    network = GhostNetV2(WIDTH, dfc=dict(kernel_size=7))
    return save(folder, network.state_dict())


@case('a backbone cut off before', 'ends at stage 2, this one at stage 4')
def _(folder, _server):
    return save(folder, good(GhostNetV2, out_indices=(2,)))


@case('a backbone, for a classifier', 'the file has no classifier', GhostNetClassifier)
def _(folder, _server):
    return save(folder, good(GhostNetV2, out_indices=(5,)))


@case('a classifier of other classes', 'tells 10 classes apart', GhostNetClassifier)
def _(folder, _server):
    return save(folder, good(num_classes=10))


@case('batch norm, for a backbone with group norm', 'norm_cfg differs',
      norm_cfg=dict(type='GN', num_groups=1))  # fmt: skip
def _(folder, _server):
    return save(folder, good())


@case('three channels, for grey pictures', 'for pictures of 3 channels', in_channels=1)
def _(folder, _server):
    return save(folder, good())


@case('a deployed network', 'is a deployed network, its batch norms folded')
def _(folder, _server):
    folded = {}
    for name, value in good(GhostNetV2).items():
        if value.ndim == 4:
            folded[name] = value
            folded[name.replace('weight', 'bias')] = torch.zeros(len(value))
    return save(folder, folded)


@case('one weight missing', '1 missing (blocks.3.0.conv_dw.weight)')
def _(folder, _server):
    return save(
        folder, {n: v for n, v in good().items() if n != 'blocks.3.0.conv_dw.weight'}
    )


@case('one weight too many', '1 unknown (blocks.3.0.conv_extra.weight)')
def _(folder, _server):
    return save(folder, {**good(), 'blocks.3.0.conv_extra.weight': torch.ones(1)})


@case('one weight of another shape', '1 of another shape (bn1.weight is (9,)')
def _(folder, _server):
    return save(folder, {**good(), 'bn1.weight': torch.ones(9)})


# Numbers that are none. ----------------------------------------------------------------


@case('a weight that is NaN', 'has 1 of 4 numbers that are NaN or infinite')
def _(folder, _server):
    value = good()['bn1.bias'].clone()
    value[3] = float('nan')
    return save(folder, {**good(), 'bn1.bias': value})


@case('weights that are infinite', 'the training that wrote it had diverged')
def _(folder, _server):
    value = torch.full_like(good()['bn1.bias'], float('inf'))
    return dict(checkpoint=save(folder, {**good(), 'bn1.bias': value}), strict=False)


@case('a negative variance', 'bn1.running_var has negative variances')
def _(folder, _server):
    return save(folder, {**good(), 'bn1.running_var': -good()['bn1.running_var']})


@case('weights in 8 bit', 'conv_stem.weight is of type int8')
def _(folder, _server):
    value = good()['conv_stem.weight'].to(torch.int8)
    return save(folder, {**good(), 'conv_stem.weight': value})


@case('a list where a tensor should be', 'bn1.weight is a list, not a tensor')
def _(folder, _server):
    return save(folder, {**good(), 'bn1.weight': [1.0, 2.0]})


# Settings. -----------------------------------------------------------------------------


@case(
    'a prefix that the file does not have',
    "it has one under 'backbone.'; without prefix",
)
def _(folder, _server):
    state = {f'backbone.{name}': value for name, value in good(GhostNetV2).items()}
    return dict(checkpoint=save(folder, {'state_dict': state}), prefix='encoder')


@case('a prefix, for a file that needs none', "it has one under ''")
def _(folder, _server):
    return dict(checkpoint=save(folder, good()), prefix='backbone.')


@case('several networks, and no prefix', 'choose one with prefix=')
def _(folder, _server):
    state = {}
    for name, value in good(GhostNetV2).items():
        state[f'teacher.backbone.{name}'] = state[f'student.backbone.{name}'] = value
    return save(folder, {'state_dict': state})


@case('checkpoint=None', 'for random weights leave init_cfg=None')
def _(_folder, _server):
    return dict(checkpoint=None)


@case('no checkpoint at all', 'needs the key checkpoint')
def _(_folder, _server):
    return {}


@case('a misspelt key', "has no key 'prefx'; did you mean prefix?")
def _(folder, _server):
    return dict(checkpoint=save(folder, good()), prefx='backbone.')


# The network. --------------------------------------------------------------------------


@case('a URL that the server does not know', 'the server answers 404')
def _(_folder, server):
    return server.url('ck_ghostnetv2_10.pth.tar')


@case('no network', 'init_cfg=None in a config (load_from=None where it has that)')
def _(_folder, server):
    return server.closed_url('ck_ghostnetv2_10.pth.tar')


@case('a cache that nothing can be put into', 'Not a directory. Set TORCH_HOME')
def _(folder, server):
    (folder / 'torch').write_bytes(b'')
    return server.serve('ghostnetv2.pth', b'')


@case('a URL of a web page', 'is a web page, not weights')
def _(_folder, server):
    return server.serve('weights.pth', b'<!DOCTYPE html><html></html>')


@case('a download that broke off', 'delete that to fetch it anew')
def _(folder, server):
    content = Path(save(folder, good())).read_bytes()
    return server.serve('weights.pth', content, cut=True)


@case('a URL whose name holds another checksum', 'does not begin with 01234567')
def _(folder, server):
    content = Path(save(folder, good())).read_bytes()
    return server.serve('weights-01234567.pth', content)


@case('a storage that nothing here opens', 'mmghost opens paths, http(s) URLs')
def _(_folder, _server):
    return 'gopher://weights/ghostnetv2.pth'


@functools.cache
def plain(cls: type) -> nn.Module:
    return randomise(cls(WIDTH), seed=5)


PAGE = Path(__file__).parents[2] / 'docs' / 'weights_errors.md'
HEAD = """# What a bad weight file prints

`init_cfg=dict(type='Pretrained', checkpoint=...)` of a GhostNet loads a file whole or not
at all. This is what the tests of this project tried, and what was printed; in no case does
the training go on. The backbones here are of width 0.25.

| what is wrong | what is printed |
|---|---|
"""
UPDATE = os.environ.get('MMGHOST_UPDATE_DOCS') == '1'


@pytest.fixture(scope='module')
def rows():
    """Collect the rows of the table, and write them where that is asked for."""
    found: list[str] = []
    yield found
    if UPDATE and len(found) == len(CASES):
        PAGE.write_text(HEAD + '\n'.join(found) + '\n', encoding='utf-8')


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.what)
def test_is_refused_and_nothing_is_loaded(
    case, tmp_path, server, torch_home, monkeypatch, rows
):
    monkeypatch.chdir(tmp_path)
    init_cfg = case.make(tmp_path, server)
    if isinstance(init_cfg, str):
        init_cfg = dict(checkpoint=init_cfg)
    cls, kwargs = case.build
    backbone = cls(WIDTH, **kwargs) if kwargs else plain(cls)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.init_cfg = dict(type='Pretrained', **init_cfg)
    backbone.is_init = False
    with pytest.raises((WeightsError, ValueError)) as error:
        backbone.init_weights()
    assert case.says in str(error.value)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])
    assert not (tmp_path / 'code_was_run').exists()

    text = (
        str(error.value).replace(f'{tmp_path}/', '').replace(str(tmp_path), 'work_dir')
    )
    text = re.sub(r'127\.0\.0\.1:\d+', 'example.org', text)
    text = text.replace('torch/hub/checkpoints', '$TORCH_HOME/hub/checkpoints')
    text = re.sub(r'\d+ bytes\)', 'N bytes)', text).replace('|', '&#124;')
    row = f'| {case.what} | {text} |'
    rows.append(row)
    assert UPDATE or row in PAGE.read_text(encoding='utf-8').splitlines()


def test_the_docs_have_these_cases_and_no_others():
    text = PAGE.read_text(encoding='utf-8')
    assert text.startswith(HEAD)
    rows = text[len(HEAD) :].splitlines()
    assert [row.split(' | ')[0] for row in rows] == [f'| {c.what}' for c in CASES]


def test_there_are_at_least_thirty_cases():
    assert len({case.what for case in CASES}) == len(CASES) >= 30


def test_a_file_of_torch_cut_at_any_place_is_refused(tmp_path):
    from mmghost.weights.reading import read

    stream = io.BytesIO()
    torch.save({'conv_stem.weight': torch.ones(2, 2)}, stream)
    content = stream.getvalue()
    for end in range(0, len(content), 7):
        path = write(tmp_path, 'weights.pth', content[:end])
        with pytest.raises(WeightsError):
            read(path)
