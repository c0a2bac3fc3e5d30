"""Are picture files there and whole? Told from names and from the files' ends."""

import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

# What the names of pictures end in, where nothing else says so.
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
# Network file systems answer slowly, but many at a time.
_THREADS = 8
_TAIL = 1024  # bytes; some cameras and tools leave a few behind the end mark
_EXIF_ORIENTATION = 0x0112


@dataclass
class PictureReport:
    """What was found about a list of pictures.

    Args:
        total: How many there are.
        missing: Those that are not there.
        broken: Those that are no whole pictures, with the reason.
        checked: How many of those there were opened.
        seconds: How long it took.
    """

    total: int
    missing: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    checked: int = 0
    seconds: float = 0.0


def check_pictures(
    paths: Iterable[str],
    seconds: float = 30.0,
    threads: int = _THREADS,
    decode: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PictureReport:
    """Check that pictures are there (all of them) and whole (as many as time allows).

    Names are compared with one listing of each folder. Then files are opened in random
    order, so that a check that runs out of time has seen a fair sample.

    Args:
        paths: The pictures.
        seconds: Time for opening files; 0 opens none, infinity all.
        threads: How many files are opened at a time.
        decode: Decode every picture that is opened, see :func:`image_fault`.
        progress: Called with how many were opened and how many there are.

    Returns:
        What was found.
    """
    start = time.monotonic()
    paths = list(dict.fromkeys(paths))
    report = PictureReport(total=len(paths))
    present = []
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_folder[os.path.dirname(path)].append(path)
    for folder, members in by_folder.items():
        try:
            names = set(os.listdir(folder or '.'))
        except OSError:
            names = set()
        for path in members:
            there = os.path.basename(path) in names
            (present if there else report.missing).append(path)

    random.Random(0).shuffle(present)
    step = 32 * threads
    fault_of = partial(image_fault, decode=decode)
    with ThreadPoolExecutor(threads) as pool:
        for i in range(0, len(present), step):
            if time.monotonic() - start >= seconds:
                break
            chunk = present[i : i + step]
            for path, fault in zip(chunk, pool.map(fault_of, chunk)):
                if fault:
                    report.broken[path] = fault
            report.checked += len(chunk)
            progress(report.checked, len(present))
    report.seconds = time.monotonic() - start
    return report


def image_fault(path: str, decode: bool = False) -> str | None:
    """Tell what is wrong with a picture file, without decoding it where that can be.

    A JPEG ends with its end-of-image mark and a PNG with its IEND chunk; readers put
    grey in place of what is missing and say nothing. A file that does not end so, and
    one of another format, is decoded.

    Args:
        path: The file.
        decode: Decode it in any case; that finds damage which a whole end hides.

    Returns:
        The fault in a few words, or None.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(16)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    if not head:
        return 'is empty'
    ends = (head.startswith(b'\xff\xd8') and b'\xff\xd9' in tail) or (
        head.startswith(b'\x89PNG\r\n\x1a\n') and b'IEND' in tail
    )
    if ends and not decode:
        return None
    return _decoding_fault(path)


def _decoding_fault(path: str) -> str | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            picture.load()
    except UnidentifiedImageError:
        return 'is not a picture'
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        return f'is cut short or damaged ({error})'
    except Image.DecompressionBombError as error:
        return str(error)
    return None


def image_size(path: str) -> tuple[int, int] | None:
    """Tell height and width of a picture as OpenCV reads it: turned as its EXIF says.

    Returns:
        Height and width in px; None for a file that is not there or no picture, which
        :func:`image_fault` puts in words.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return None
    return (width, height) if turned else (height, width)


def list_images(folder: str, suffixes: str | Sequence[str]) -> list[str]:
    """List the files below a folder that end in one of the suffixes, sorted.

    Hidden ones, such as the ``._a.jpg`` that macOS leaves beside ``a.jpg``, are left out, as
    the toolboxes leave them out.
    """
    suffixes = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    found = []
    for root, _, names in os.walk(folder, followlinks=True):
        found += [
            os.path.join(root, name)
            for name in names
            if name.lower().endswith(suffixes) and not name.startswith('.')
        ]
    return sorted(found)
