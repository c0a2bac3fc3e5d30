"""Open a weight file of any kind, by path, URL or storage backend, and take its tensors.

What a file is is told by its first bytes, not by its name: the release's .pth.tar files
are no archives, and .ckpt is MindSpore's ending as well as others'.
"""

import hashlib
import os
import re
import socket
import tempfile
import urllib.error
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine import fileio
from mmengine.dist import broadcast_object_list, get_dist_info
from torch import Tensor

from ..errors import examples, why_no_file
from . import mindspore, pickles
from .catalogue import sha256_of
from .errors import WeightsError

TORCH, MINDSPORE, SAFETENSORS = 'torch', 'MindSpore', 'safetensors'

# Where the weights are inside of what was saved. Averaged weights (EMA) are the better
# ones and come first, as in timm. mmengine's `ema_state_dict` is not here: its EMAHook
# puts the averaged weights into `state_dict`, and those of training into that one.
CONTAINERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model')

# How long a server may keep silent, in s.
_TIMEOUT = 30.0

_HINTS = (
    (b'version https://git-lfs', 'is a Git LFS pointer; fetch the file: git lfs pull'),
    (b'\x1f\x8b', 'is compressed (gzip); unpack it and name the file inside'),
    (b'BZh', 'is compressed (bzip2); unpack it and name the file inside'),
    (b'\xfd7zXZ', 'is compressed (xz); unpack it and name the file inside'),
    (b'\x89HDF', 'is an HDF5 (Keras) file, which mmghost cannot read'),
    (b'\x93NUMPY', 'is a single NumPy array, not the weights of a network'),
)


@dataclass
class WeightFile:
    """A weight file that was read.

    Args:
        source: What the person called it.
        format: ``'torch'``, ``'MindSpore'`` or ``'safetensors'``.
        content: What was saved: a dict with the weights in it or beside other things.
        container: The key of ``content`` that the weights are under, or ``''``.
        sha256: Of the file.
    """

    source: str
    format: str
    content: Mapping[str, Any]
    container: str
    sha256: str
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> Mapping[str, Any]:
        """The weights by the file's names."""
        return self.content[self.container] if self.container else self.content


def read(source: str | os.PathLike) -> WeightFile:
    """Read a weight file.

    Args:
        source: A path, an http(s) URL (fetched once, into torch's cache) or whatever
            else mmengine's file backends open (``s3://…``). The file may be torch's
            (read with ``weights_only``), MindSpore's or in the safetensors format.

    Returns:
        Its content, tensors on the CPU.

    Raises:
        WeightsError: If there is none, it cannot be had or is no weight file. It says
            what to do.
    """
    if not isinstance(source, str | os.PathLike) or not str(source):
        raise WeightsError(
            f'checkpoint={source!r}: name a file or a URL; for random weights leave '
            'init_cfg=None'
        )
    source = str(source)
    with local_path(source) as path:
        try:
            file = _read(path, source)
            known = sha256_of(source)
            if known and file.sha256 != known:
                raise WeightsError(f'{source}: is not the file known by this URL')
            return file
        except WeightsError as error:
            if urlparse(source).scheme not in ('http', 'https'):
                raise
            raise WeightsError(
                f'{error} (fetched to {path}: delete that to fetch it anew)'
            ) from None


def _read(path: Path, source: str) -> WeightFile:
    kind = format_of(path, source)
    if kind == MINDSPORE:
        content: Any = mindspore.read(path.read_bytes(), source)
    elif kind == SAFETENSORS:
        content = _read_safetensors(path, source)
    else:
        content = pickles.load(path, source)
    container = _container(content, source)
    meta = content.get('meta') if isinstance(content, Mapping) else None
    return WeightFile(
        source,
        kind,
        content,
        container,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        meta=meta if isinstance(meta, dict) else {},
    )


def format_of(path: Path, source: str) -> str:
    """Tell the format of a file by its beginning.

    Args:
        path: The file.
        source: What the person called it, for the messages.

    Returns:
        ``'torch'``, ``'MindSpore'`` or ``'safetensors'``.

    Raises:
        WeightsError: If it is none of them. It says what it is, as far as it is known.
    """
    try:
        with path.open('rb') as file:
            head = file.read(512)
        size = path.stat().st_size
    except OSError as error:
        raise WeightsError(f'{source}: cannot be read: {error.strerror}') from None
    if not head:
        raise WeightsError(f'{source}: is empty (0 bytes)')
    for magic, what in _HINTS:
        if head.startswith(magic):
            raise WeightsError(f'{source}: {what}')
    if head.startswith(b'PK'):
        return _kind_of_zip(path, size, source)
    if head[:1] == b'\x80':
        return TORCH
    header = int.from_bytes(head[:8], 'little')
    if head[8:9] == b'{' and header < 100_000_000:
        return SAFETENSORS
    if mindspore.looks_like(head):
        return MINDSPORE
    text = _as_text(head)
    if text.lstrip().lower().startswith(('<!doctype', '<html')):
        raise WeightsError(
            f'{source}: is a web page, not weights; use the link that downloads the file'
        )
    what = f'begins with {head[:8].hex(" ")}'
    if text:
        what = f'is a text that begins with {text.strip()[:30]!r}'
    raise WeightsError(
        f'{source}: {what}; weights are files of torch.save, .safetensors or MindSpore '
        '.ckpt'
    )


def holds_no_code(path: Path) -> bool:
    """Tell whether a file is in a format that is data alone: MindSpore's, safetensors."""
    try:
        return format_of(path, str(path)) in (MINDSPORE, SAFETENSORS)
    except WeightsError:
        return False


def _as_text(head: bytes) -> str:
    """The beginning of a text file; empty for anything else."""
    try:
        text = head[:200].decode('utf-8', errors='strict')
    except UnicodeDecodeError as error:
        if error.start < min(196, len(head)):  # not just a letter cut in two
            return ''
        text = head[: error.start].decode('utf-8')
    return text if all(c.isprintable() or c.isspace() for c in text) else ''


def _kind_of_zip(path: Path, size: int, source: str) -> str:
    damaged = WeightsError(f'{source}: is cut short or damaged ({size} bytes)')
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith('/constants.pkl') for name in names):
                raise WeightsError(
                    f'{source}: is a TorchScript program, not weights; save the '
                    "state_dict of the model: torch.save({'state_dict': "
                    'model.state_dict()}, FILE)'
                )
            if not any(name.endswith('data.pkl') for name in names):
                raise WeightsError(
                    f'{source}: is an archive with {examples(names)}, not one of '
                    'torch; unpack it and name the file inside'
                )
            if archive.testzip() is not None:
                raise damaged
    except WeightsError:
        raise
    except Exception:  # zipfile has many words for damage
        raise damaged from None
    return TORCH


def _read_safetensors(path: Path, source: str) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise WeightsError(
            f'{source}: is in the safetensors format; pip install safetensors'
        ) from None
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError, RuntimeError):
        raise WeightsError(
            f'{source}: is cut short or damaged ({path.stat().st_size} bytes)'
        ) from None


def _container(content: Any, source: str) -> str:
    """Find the key that the weights are under; empty if they are the content itself."""
    if not isinstance(content, Mapping):
        raise WeightsError(
            f'{source}: holds a {type(content).__name__}, not the weights of a network '
            'by name (a state_dict)'
        )
    for key in CONTAINERS:
        if isinstance(content.get(key), Mapping):
            return key
    if not any(isinstance(value, Tensor) for value in content.values()):
        keys = [repr(key) for key in content]
        raise WeightsError(
            f'{source}: holds no weights; it has '
            f'{examples(keys, 6) if keys else "nothing"}'
        )
    return ''


@contextmanager
def local_path(source: str) -> Iterator[Path]:
    """Bring a file to this machine.

    Args:
        source: See :func:`read`.

    Yields:
        Its path, valid inside of the ``with``.

    Raises:
        WeightsError: If it is not there, or cannot be had.
    """
    scheme = urlparse(source).scheme if '://' in source else ''
    if scheme in ('http', 'https'):
        yield fetch(source)
    elif scheme == 'file':
        yield _existing(source[len('file://') :], source)
    elif scheme:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(fileio.get_local_path(source))
            except Exception as error:  # of whatever library serves the scheme
                raise WeightsError(
                    f'{source}: cannot be had: {_first_line(error)}. mmghost opens '
                    'paths, http(s) URLs and what the file backends of mmengine open'
                ) from None
            yield Path(path)
    else:
        yield _existing(source, source)


def _existing(name: str, source: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir() or not path.exists():
        raise WeightsError(f'{source}: {why_no_file(path)}')
    return path


def fetch(url: str) -> Path:
    """Download a file once, into the cache that torch.hub and mmengine use.

    Args:
        url: An http(s) URL. The checksum is verified where the catalogue knows it, or
            where it is part of the file's name (``-<8 or more hex digits>.pth``, unless
            that is a date).

    Returns:
        The file in the cache, :func:`cached_path`.

    Raises:
        WeightsError: If the server cannot be reached, does not have the file, or it
            cannot be written into the cache: in every process, in the same words.
    """
    path = cached_path(url)
    rank, world_size = get_dist_info()
    failure = [None]
    if rank == 0 and not path.exists():
        try:
            _download(url, path)
        except WeightsError as error:
            failure = [str(error)]
    if world_size > 1:
        broadcast_object_list(failure)  # which the others wait for
    if failure[0] is not None:
        raise WeightsError(failure[0])
    if not path.exists():  # on another machine than the first process
        _download(url, path)
    return path


def cached_path(url: str) -> Path:
    """Tell where a URL's file is kept: ``$TORCH_HOME/hub/checkpoints/NAME``.

    On Hugging Face every model's file has the same name, so that of the repository is
    put before it. Where another URL's file has the name already, which is noted beside
    it when it is fetched, the first digits of this URL's sha256 are put before it.
    """
    parts = urlparse(url)
    name = os.path.basename(parts.path)
    if parts.hostname == 'huggingface.co':
        name = '-'.join([*parts.path.strip('/').split('/')[:2], name])
    if not name:
        raise WeightsError(f'{url}: names no file')
    path = Path(torch.hub.get_dir()) / 'checkpoints' / name
    note, place = _note(path), _place(url)
    if path.exists() and note.is_file() and note.read_text().strip() != place:
        digest = hashlib.sha256(place.encode()).hexdigest()
        return path.with_name(f'{digest[:8]}-{name}')
    return path


def _note(path: Path) -> Path:
    """The file that says from where one in the cache is."""
    return path.with_name(f'{path.name}.url')


def _place(url: str) -> str:
    """A URL without what may be secret or change: user, password and query."""
    parts = urlparse(url)
    return f'{parts.hostname}:{parts.port or ""}{parts.path}'


def _checksum(name: str) -> str | None:
    """The checksum in a file's name, if there is one.

    torch.hub also takes the 1 of ``-1.0`` for one.
    """
    found = re.search(r'-([0-9a-f]{8,64})\.', name)
    if found and re.fullmatch(r'(19|20)\d\d(0[1-9]|1[0-2])[0-3]\d', found[1]):
        return None  # a date
    return found[1] if found else None


def _download(url: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise WeightsError(
            f'{url}: cannot be put into {path.parent}: {error.strerror}. Set TORCH_HOME '
            'to a folder that can be written into, or fetch the file yourself and name '
            'its path'
        ) from None
    checksum = sha256_of(url) or _checksum(path.name)
    offline = (
        f'Without a network: fetch it on another machine, then name its path, or put it '
        f'at {path}'
    )
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        torch.hub.download_url_to_file(url, str(path), checksum)
        _note(path).write_text(_place(url))
    except urllib.error.HTTPError as error:
        hint = 'Check the URL' if error.code in (404, 410) else offline
        raise WeightsError(
            f'{url}: the server answers {error.code} {error.reason}. {hint}'
        ) from None
    except OSError as error:
        reason = getattr(error, 'reason', error)
        reason = getattr(reason, 'strerror', None) or reason
        raise WeightsError(
            f'{url}: cannot be reached: {reason}. {offline}; or start from random '
            'weights: init_cfg=None in a config (load_from=None where it has that), '
            'pretrained=False in get_model, new_config.py --weights none --overwrite'
        ) from None
    except RuntimeError:  # torch.hub's word for another checksum
        raise WeightsError(
            f'{url}: what the server sent is not the file that is known by this URL '
            f'(its sha256 does not begin with {checksum[:8]}). {offline}'
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
