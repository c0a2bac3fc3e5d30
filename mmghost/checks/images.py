"""Image files: which there are, and whether the loader of a config can read them."""

import os
import random
import re
import shlex
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import Image, UnidentifiedImageError
from rich.progress import track

from ..errors import examples
from .problems import Problem

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
_FEW = 66  # values; 14-bit data that is cut to 8 bit keeps 64
# What opening a damaged file with Pillow raises.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def is_hidden(name: str) -> bool:
    """Return True for what Jupyter, macOS and network storage leave among the data."""
    return name.startswith('.') or name in ('__MACOSX', '@eaDir')


def list_images(folder: str, suffixes: str | Sequence[str] = SUFFIXES) -> list[str]:
    """List the files below a folder that end in one of the suffixes, sorted.

    Hidden files and folders are left out, such as ``._a.jpg`` and ``.ipynb_checkpoints``.
    """
    suffixes = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        names = [name for name in names if name.lower().endswith(suffixes)]
        found += [os.path.join(root, name) for name in names if not is_hidden(name)]
    return sorted(found)


def image_size(path: str) -> tuple[int, int] | None:
    """Return height and width in px, turned as the EXIF says; None if it is no image."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5  # orientation
    except _DAMAGED:
        return None
    return (width, height) if turned else (height, width)


def _read(path: str, loader: Any) -> np.ndarray | None:
    """Read an image as a training does; None if the loader cannot decode it."""
    try:
        return (loader or LoadImageFromFile()).transform(dict(img_path=path))['img']
    except Exception:  # each backend has its own; image_fault says what the file is
        return None


def image_fault(path: str, loader: Any = None, decode: bool = False) -> str | None:
    """Return what is wrong with an image file, or None.

    A JPEG with its end-of-image mark and a PNG with its last chunk are not decoded; OpenCV
    may put gray in place of what is missing there. All other files are decoded.

    Args:
        path: The file.
        loader: The ``LoadImageFromFile`` of the pipeline. Default: that of mmcv.
        decode: Decode in any case, which finds damage in the middle of a file.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(16)
            # Some cameras leave a few bytes behind the end mark.
            file.seek(max(0, os.path.getsize(path) - 1024))
            tail = file.read()
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    if not head:
        return 'is empty'
    jpeg, png = head.startswith(b'\xff\xd8'), head.startswith(b'\x89PNG\r\n\x1a\n')
    whole = (jpeg and b'\xff\xd9' in tail) or (png and b'IEND' in tail)
    readable = jpeg or png or _read(path, loader) is not None
    if readable and not decode and (whole or not (jpeg or png)):
        return None
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter('ignore')
            image.load()
            kind = f'{image.format} with pixels of type {image.mode}'
    except UnidentifiedImageError:
        return None if readable else 'is not an image'
    except Image.DecompressionBombError:
        kind = 'very large image'  # OpenCV may read what Pillow refuses
    except _DAMAGED as error:
        return f'is truncated or damaged ({error})'
    if _read(path, loader) is not None:
        return None
    backend = getattr(loader, 'imdecode_backend', 'cv2')
    return (
        f'is a {kind}, which the backend {backend!r} of LoadImageFromFile cannot read'
    )


def look_at(
    items: Sequence[Any], look: Callable[[Any], Any], seconds: float
) -> list[tuple[Any, Any]]:
    """Return as many items as time allows, in random order, with what ``look`` returns."""
    deadline = time.monotonic() + seconds
    items = random.Random(0).sample(items, len(items))
    done: list[tuple[Any, Any]] = []
    # Network file systems answer slowly, but many requests at a time.
    with ThreadPoolExecutor(8) as pool:
        starts, silent = range(0, len(items), 64), not sys.stdout.isatty()
        for i in track(starts, 'preflight', transient=True, disable=silent):
            if time.monotonic() >= deadline:
                break
            done += zip(items[i : i + 64], pool.map(look, items[i : i + 64]))
    return done


def check_images(
    paths: Sequence[str], where: str, loader: Any, seconds: float, decode: bool
) -> tuple[list[Problem], int]:
    """Check images as :func:`image_fault` does; return problems and how many were opened."""
    opened = look_at(paths, lambda path: image_fault(path, loader, decode), seconds)
    groups: dict[str, list[str]] = defaultdict(list)
    for path, fault in opened:
        if fault:  # Pillow's words behind a bracket count the bytes of each file
            groups[fault.split(' (')[0]].append(path)
    problems = []
    for fault, group in groups.items():
        what = f'{len(group)} of {len(opened)} images opened cannot be used: '
        what += f'{examples(group)}{": each" * (len(group) > 1)} {fault}'
        remedy = 'replace these files, or convert them to 8-bit PNG or JPEG'
        problems.append(Problem(where, what, remedy))
    return problems, len(opened)


def check_files(paths: Sequence[str], where: str, source: str) -> Iterator[Problem]:
    """Check that images and label maps exist, which a file or folder ``source`` names."""

    @cache  # each folder is listed once
    def listing(folder: str) -> tuple[set[str], dict[str, str]]:
        names = os.listdir(folder or '.') if os.path.isdir(folder or '.') else []
        close = {os.path.splitext(name)[0].lower(): name for name in names}
        return set(names), close | {name.lower(): name for name in names}

    slashes = r'\\\\' if source.endswith('.json') else r'\\'
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        folder, name = os.path.split(path)
        names, close = listing(folder)
        if name in names:
            continue
        meant = close.get(name.lower()) or close.get(os.path.splitext(name)[0].lower())
        reason, remedy = '', 'copy them, or correct the data_prefix or the names'
        if re.search(r'(^|[/\\])[A-Za-z]:[/\\]', path):
            reason = '; these are paths of another computer, with a drive letter'
            remedy = f'write names relative to the data_prefix into {source}'
        elif '\\' in path:
            reason = '; their names have backslashes, as on Windows'
            remedy = f"write /: sed -i 's#{slashes}#/#g' {shlex.quote(source)}"
        elif meant:
            path = f'{path} (there is {meant})'
            remedy = 'rename the files, or correct the names or the suffix'
        groups[reason, remedy].append(path)
    for (reason, remedy), group in groups.items():
        what = f'{len(group)} of {len(paths)} files are not there: {examples(group)}'
        yield Problem(where, what + reason, remedy)


def check_values(paths: Sequence[str], where: str, loader: Any) -> list[Problem]:
    """Check by a look at a few images that their values survive loading.

    OpenCV reads 16-bit files as 8-bit, value // 256: of 12-bit data 4 bits are left.
    """

    def values(image: np.ndarray) -> set[float]:
        return set(np.unique(image[:: max(1, len(image) // 256)]).tolist())

    paths = random.Random(0).sample(paths, min(16, len(paths)))
    loaded, raw = set[float](), set[float]()
    for path in paths:
        image = _read(path, loader)
        loaded |= values(image) if image is not None else set()
        if len(loaded) > _FEW:
            return []
    as_stored = LoadImageFromFile(color_type='unchanged')
    for path in paths:
        image = _read(path, as_stored)
        raw |= values(image) if image is not None else set()
    cut = len(raw) > 2 * len(loaded)
    if not loaded or not raw or not (cut or max(loaded) < 16):
        return []
    loads, stored = (f'from {min(v):g} to {max(v):g}' for v in (loaded, raw))
    what = (
        f'{len(paths)} images have values {loads} of 255 after loading, {stored} before'
    )
    remedy = 'convert the images to 8 bit so that they use the range from 0 to 255'
    return [Problem(where, what, remedy, fatal=cut and len(loaded) <= _FEW // 2)]
