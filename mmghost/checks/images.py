"""Image files: which there are, and whether the loader of a config can read them."""

import os
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from ..errors import examples, near_file
from .problems import Problem

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
_ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89PNG': b'IEND'}  # of JPEG and PNG files


def is_hidden(name: str) -> bool:
    """Return True for what Jupyter, macOS and network storage leave among the data."""
    return name.startswith('.') or name in ('__MACOSX', '@eaDir')


def list_images(
    folder: str | os.PathLike, suffixes: Sequence[str] = SUFFIXES
) -> list[str]:
    """List the files below a folder that end in one of the suffixes, sorted.

    Hidden files and folders are left out, such as ``._a.jpg`` and ``.ipynb_checkpoints``.
    """
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        names = [name for name in names if name.lower().endswith(tuple(suffixes))]
        found += [os.path.join(root, name) for name in names if not is_hidden(name)]
    return sorted(found)


def image_size(path: str) -> tuple[int, int] | None:
    """Return height and width in px, turned as the EXIF says; None if it is no image."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5  # orientation
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return (width, height) if turned else (height, width)


def load_image(path: str, loader: Any = None) -> np.ndarray | None:
    """Read an image as a training does; None if the loader cannot decode it."""
    try:
        return (loader or LoadImageFromFile()).transform(dict(img_path=path))['img']
    except Exception:  # each backend has its own
        return None


def image_fault(path: str, loader: Any = None, decode: bool = False) -> str | None:
    """Return what is wrong with an image file, or None.

    JPEG and PNG files must end as they should, since OpenCV puts gray in place of what is
    missing. Others, or all by ``decode``, are decoded by the pipeline's LoadImageFromFile.
    """
    with open(path, 'rb') as file:
        head = file.read(4)
        # Some cameras leave a few bytes behind the end mark.
        file.seek(max(0, os.path.getsize(path) - 1024))
        tail = file.read()
    end = next((end for start, end in _ENDS.items() if head.startswith(start)), None)
    if end and end not in tail:  # phones append a film
        try:
            Image.open(path).load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return 'is truncated'
    if (decode or not end) and load_image(path, loader) is None:
        backend = getattr(loader, 'imdecode_backend', 'cv2')
        return f'cannot be decoded by the backend {backend!r} of LoadImageFromFile'
    return None


def check_files(paths: Sequence[str], where: str) -> Iterator[Problem]:
    """Check that images and label maps exist."""
    names = cache(lambda d: set(os.listdir(d)) if os.path.isdir(d) else set())
    split = [(path, *os.path.split(path)) for path in paths]
    missing = [path for path, folder, name in split if name not in names(folder or '.')]
    what = f'{len(missing)} of {len(paths)} files are not there: {examples(missing)}'
    remedy = 'copy them, or correct the data_prefix, the suffixes or the names'
    if any('\\' in path for path in missing):
        remedy = 'write names with / and no drive; new_config.py does it for COCO'
    if missing:
        there = min(names(os.path.dirname(missing[0]) or '.'), default='nothing')
        hint = near_file(missing[0]) or f'; there is {there}'
        yield Problem(where, f'{what}{hint} - {remedy}')
