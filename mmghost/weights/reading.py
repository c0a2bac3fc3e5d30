"""Read a weight file of any format, from a path, a URL or the Hugging Face Hub."""

import hashlib
import http.client
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine import fileio
from mmengine.logging import print_log
from mmengine.utils import digit_version
from torch import Tensor

from ..errors import WeightsError, did_you_mean, examples, near_file
from . import mindspore

TORCH, MINDSPORE, SAFETENSORS = 'torch', 'MindSpore', 'safetensors'

# Keys of the weights in a checkpoint. Averaged weights come first, as in timm. Not
# mmengine's `ema_state_dict`: EMAHook swaps the two, `state_dict` has the average.
CONTAINERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model')

# A model of timm on the Hub, and a file in any repository there.
_HUB_NAME = re.compile(r'(?:hf[-_]hub:)?(timm/[\w.-]+)')
_HUB_URL = re.compile(
    r'https://huggingface\.co/([^/]+/[^/]+)/resolve/([^/]+)/([^?#]+)(\?|$)'
)
_VERSIONS = ('_100', 'v2_100', 'v2_130', 'v2_160', 'v3_100')
_TIMM = [f'timm/ghostnet{version}.in1k' for version in _VERSIONS]
_OFFLINE = (
    'Without a network, download it elsewhere and give its path, or start from random '
    'weights: init_cfg=None, load_from=None where a config has that'
)


@dataclass
class WeightFile:
    """A weight file."""

    source: str  # as given by the user
    format: str  # 'torch', 'MindSpore' or 'safetensors'
    content: Mapping[str, Any]  # the weights, or a dict that has them under a key
    container: str  # that key, or ''
    sha256: str

    @property
    def state(self) -> Mapping[str, Any]:
        """The weights by the file's names."""
        return self.content[self.container] if self.container else self.content

    @property
    def meta(self) -> dict[str, Any]:
        """What mmengine and mmghost note beside the weights."""
        return dict(self.content.get('meta') or {})


def read(source: str | os.PathLike) -> WeightFile:
    """Read a weight file.

    Args:
        source: A path, an http(s) URL (``#sha256=…`` at its end is verified), a model of
            timm on the Hugging Face Hub (``'timm/ghostnetv2_100.in1k'``) or a URI that
            mmengine's file backends open (``s3://…``). The file may be torch's,
            MindSpore's or safetensors'; nothing in it is executed.

    Returns:
        The content, tensors on the CPU.

    Raises:
        WeightsError: If there is no such file, it cannot be fetched, or it is no weight
            file.
    """
    source = os.fspath(source)
    with local_path(source) as path:
        where = source if path == Path(source).expanduser() else f'{source} ({path})'
        kind = format_of(path, where)
        if kind == MINDSPORE:
            content: Any = mindspore.read(path.read_bytes(), where)
        else:
            content = (_read_torch if kind == TORCH else _read_safetensors)(path, where)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not isinstance(content, Mapping):
        raise WeightsError(f'{where}: holds a {type(content).__name__}, no state_dict')
    container = next((k for k in CONTAINERS if isinstance(content.get(k), Mapping)), '')
    if not container and not any(isinstance(v, Tensor) for v in content.values()):
        keys = examples([repr(key) for key in content], 6) or 'nothing'
        raise WeightsError(f'{where}: holds no weights; it has {keys}')
    return WeightFile(source, kind, content, container, digest)


def format_of(path: Path, source: str) -> str:
    """Return TORCH, MINDSPORE or SAFETENSORS; raise WeightsError if it is none."""
    # By the first bytes: the release's `.pth.tar` files are no archives.
    with path.open('rb') as file:
        head = file.read(512)
    # Behind the length of the header, which can begin as the others do.
    if head[4:9] == b'\0\0\0\0{':
        return SAFETENSORS
    if head.startswith((b'PK', b'\x80')) or head[257:262] == b'ustar':
        return TORCH
    if mindspore.looks_like(head):
        return MINDSPORE
    hint = f'begins with {head[:20]!r}' if head else 'is empty'
    if head.startswith(b'version https://git-lfs'):
        hint = 'is a Git LFS pointer; fetch the file: git lfs pull'
    elif head.lstrip().lower().startswith((b'<!doctype', b'<html')):
        hint = 'is a web page; use the link that downloads the file'
    raise WeightsError(
        f'{source}: {hint}. Weights are files of torch.save, safetensors or MindSpore'
    )


def _damaged(path: Path, source: str) -> WeightsError:
    return WeightsError(
        f'{source}: is cut short or damaged ({path.stat().st_size} bytes)'
    )


def _read_safetensors(path: Path, source: str) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        text = f'{source}: needs safetensors: pip install safetensors'
        raise WeightsError(text) from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, source) from error


class _Inert:
    """Stands in for an object of a training checkpoint that is not needed here."""

    def __new__(cls, *args: Any) -> '_Inert':
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


# The functions by which NumPy pickles arrays and scalars.
_ARRAY, _SCALAR = np.zeros(1).__reduce__()[0], np.float64(1).__reduce__()[0]
# What training checkpoints hold beside weights: NumPy's numbers; inert instead of
# mmengine's log of the loss (its pickle names methods by getattr) and timm's arguments.
_SAFE = [
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in '?bBhHiIlLqQefdSU'},
    *((_ARRAY, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),
    *((_SCALAR, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
    (slice, 'builtins.slice'),
    (_Inert, 'builtins.getattr'),
    (_Inert, 'mmengine.logging.history_buffer.HistoryBuffer'),
    (_Inert, 'argparse.Namespace'),
]
# torch.serialization.safe_globals takes names beside classes from 2.6 on.
HAS_SAFE_GLOBALS = digit_version(torch.__version__) >= digit_version('2.6')


def _read_torch(path: Path, source: str) -> Any:
    try:
        if zipfile.is_zipfile(path) and zipfile.ZipFile(path).testzip():
            raise _damaged(path, source)  # torch verifies no CRC
        with ExitStack() as stack:
            if HAS_SAFE_GLOBALS:
                stack.enter_context(torch.serialization.safe_globals(_SAFE))
            return torch.load(path, map_location='cpu', weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # torch has many for a damaged file
        name = re.search(r'(?:GLOBAL|[Uu]nsupported class) ([\w.]+)', str(error))
        kind = re.search(r'TorchScript|legacy \.tar', str(error))
        if not name and not kind:
            raise _damaged(path, source) from error
        what = f'would run code ({name[1]})' if name else f'is a {kind[0]} file'
        newer = ''
        if name and not HAS_SAFE_GLOBALS:
            newer = ' torch 2.6 or newer reads the checkpoints of trainings.'
        raise WeightsError(
            f'{source}: {what}, so it is not read.{newer} If you trust it, save its '
            "weights alone: torch.save({'state_dict': model.state_dict()}, FILE)"
        ) from error


@contextmanager
def local_path(source: str) -> Iterator[Path]:
    """Yield the path of a file on this machine, fetched if need be, see :func:`read`."""
    path = Path(source).expanduser()
    if path.is_file():
        yield path
    elif found := _HUB_NAME.fullmatch(source):
        yield _from_hub(source, found[1])
    elif found := _HUB_URL.match(source):
        yield _from_hub(source, *found.group(1, 2, 3))
    elif source.startswith(('http://', 'https://')):
        yield _from_url(source)
    elif '://' in source:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(fileio.get_local_path(source))
            except Exception as error:  # each backend has its own
                raise WeightsError(
                    f'{source}: cannot be fetched ({error!r}); download it, and give its path'
                ) from error
            yield Path(path)
    elif path.is_dir():
        raise WeightsError(f'{source}: is a folder; name a file in it')
    else:
        raise WeightsError(f'{source}: there is no such file{near_file(str(path))}')


def _from_hub(
    source: str, repo: str, revision: str = 'main', name: str = 'model.safetensors'
) -> Path:
    try:
        import huggingface_hub as hub
    except ImportError as error:
        text = f'{source}: needs huggingface_hub: pip install huggingface_hub'
        raise WeightsError(text) from error
    file = dict(repo_id=repo, filename=name, revision=revision)
    if isinstance(cached := hub.try_to_load_from_cache(**file), str):
        return Path(cached)
    try:
        # One try before the download: without a network that one makes six, in 23 s.
        hub.get_hf_file_metadata(hub.hf_hub_url(**file))
        return Path(hub.hf_hub_download(**file))
    except Exception as error:  # of the HTTP library that it uses
        place = hub.constants.ENDPOINT
        # The Hub answers 401 for a name that it does not have.
        if getattr(getattr(error, 'response', None), 'status_code', 0) in (401, 404):
            known = repo in _TIMM  # what lacks it is a mirror
            hint = '; unset HF_ENDPOINT' if known else did_you_mean(repo, _TIMM)
            raise WeightsError(
                f'{source}: {place} has no {repo}/{name}{hint}'
            ) from error
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise WeightsError(
            f'{source}: cannot be fetched from {place}: {reason}. {_OFFLINE}'
        ) from error


def cached_path(url: str) -> Path:
    """Return the place of a URL's file in the cache of torch.hub."""
    return Path(torch.hub.get_dir()) / 'checkpoints' / Path(urlparse(url).path).name


def _from_url(source: str) -> Path:
    url, _, checksum = source.partition('#sha256=')
    path = cached_path(url)
    if path.is_file():
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if checksum else ''
        if not digest.startswith(checksum):
            raise WeightsError(f'{path} is not the file of {source}: remove it')
        # Files of one name from several places are one there, as in torch.hub.
        print_log(f'{source}: taken from {path}', 'current')
        return path
    if not checksum:  # as torch.hub, which takes dates and the 1 of `-1.0.pth`, too
        found = re.search(r'-(?!\d{8}\.)([0-9a-f]{8,64})\.pth', path.name)
        checksum = found[1] if found else ''
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), checksum or None)
    except RuntimeError as error:  # torch.hub's error for another checksum
        text = f'{url}: the file fetched does not have the checksum {checksum}'
        raise WeightsError(text) from error
    except (OSError, http.client.HTTPException) as error:
        text = f'{url}: cannot be fetched to {path}: {error}. {_OFFLINE}'
        raise WeightsError(text) from error
    return path
