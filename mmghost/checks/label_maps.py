"""Are label maps what pictures and classes ask for? Told from every value in them.

A value that is no class ends a training on a GPU with an assertion somewhere in CUDA, and
is left out of an evaluation in silence.
"""

import os
import random
import time
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import examples
from .annotations import Problem, segmentation_files
from .images import image_fault, image_size

_THREADS = 8
_IGNORED = 255  # of mmseg's losses and metrics


@dataclass(frozen=True)
class Labels:
    """Which values a label map may hold.

    Args:
        classes: Number of classes.
        allowed: For each of the 256 values whether it may occur.
        reduced: Whether 0 is ignored and the classes begin at 1.
    """

    classes: int
    allowed: np.ndarray
    reduced: bool = False

    def __str__(self) -> str:
        """The rule in words."""
        if self.reduced:
            return f'{self.classes} classes go from 1 to {self.classes}, 0 is ignored'
        last = self.classes - 1
        return f'{self.classes} classes go from 0 to {last}, {_IGNORED} is ignored'


@dataclass
class LabelMapReport:
    """What was found about label maps.

    Args:
        total: How many there are.
        faults: What is wrong, by label map.
        checked: How many were looked into.
        seconds: How long it took.
    """

    total: int
    faults: dict[str, str] = field(default_factory=dict)
    checked: int = 0
    seconds: float = 0.0


def labels_of(dataset: Any) -> Labels | None:
    """Tell which values the label maps of a data set of mmseg's may hold.

    Args:
        dataset: A BaseSegDataset.

    Returns:
        The values, as they stand in the files; None if the data set names no classes.
    """
    classes = dataset.metainfo.get('classes')
    if not classes:
        return None
    values = np.arange(256)
    if dataset.reduce_zero_label:
        values = values - 1
        values[[0, 255]] = _IGNORED
    known = values.copy()
    for old, new in (dataset.label_map or {}).items():
        known[values == old] = new
    allowed = (known < len(classes)) | (known == _IGNORED)
    allowed |= known == dataset.ignore_index
    return Labels(len(classes), allowed, dataset.reduce_zero_label)


def check_label_maps(
    dataset: Any,
    seconds: float = 30.0,
    broken: Container[str] = (),
    threads: int = _THREADS,
) -> LabelMapReport | None:
    """Look into as many label maps of a data set as time allows, in random order.

    Args:
        dataset: The data set, built with ``lazy_init=True``.
        seconds: Time for it; 0 opens none, infinity all.
        broken: Files known to be no good, which are left out.
        threads: How many are opened at a time.

    Returns:
        What was found; None for a data set without label maps.
    """
    start = time.monotonic()
    if 'BaseSegDataset' not in {cls.__name__ for cls in type(dataset).__mro__}:
        return None
    pictures, maps = segmentation_files(dataset)
    if not maps:
        return None
    pairs = [pair for pair in zip(pictures, maps) if pair[1] not in broken]
    report = LabelMapReport(total=len(pairs))
    labels = labels_of(dataset)
    random.Random(0).shuffle(pairs)
    step = 4 * threads
    with ThreadPoolExecutor(threads) as pool:
        for i in range(0, len(pairs), step):
            if time.monotonic() - start >= seconds:
                break
            chunk = pairs[i : i + step]
            found = pool.map(lambda pair: label_map_fault(*pair, labels), chunk)
            for (_, label_map), fault in zip(chunk, found):
                if fault:
                    report.faults[label_map] = fault
            report.checked += len(chunk)
    report.seconds = time.monotonic() - start
    return report


def label_map_fault(picture: str, label_map: str, labels: Labels | None) -> str | None:
    """Tell what is wrong with a label map.

    Args:
        picture: The picture that it belongs to.
        label_map: Its file.
        labels: What may stand in it; None accepts every value.

    Returns:
        The fault in a few words, or None, also for files that are not there.
    """
    from PIL import Image

    if not (os.path.isfile(label_map) and os.path.isfile(picture)):
        return None
    try:
        with Image.open(label_map) as image:
            bands = image.getbands()
            values = np.asarray(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        return image_fault(label_map) or f'is cut short or damaged ({error})'
    except Image.DecompressionBombError:
        return None  # larger than Pillow reads; OpenCV, by which mmseg reads, may
    if len(bands) > 1:
        return (
            f'is a picture in colour ({"".join(bands)}), not one number for each pixel'
        )
    size = image_size(picture)
    if size is not None and values.shape != size:
        ours, theirs = values.shape, size
        return (
            f'is {ours[1]}x{ours[0]} px, its picture {os.path.basename(picture)} '
            f'{theirs[1]}x{theirs[0]} px'
        )
    if labels is None:
        return None
    present = np.unique(values.astype(np.int64))
    inside = (present >= 0) & (present < 256)
    inside[inside] = labels.allowed[present[inside]]
    if inside.all():
        return None
    outside = [str(value) for value in present[~inside]]
    return f'holds {examples(outside, 5)}; {labels}'


def label_map_problems(report: LabelMapReport, path: str) -> list[Problem]:
    """Put what was found about label maps in words."""
    if not report.faults:
        return []
    listed = [f'{name} {fault}' for name, fault in report.faults.items()]
    return [
        Problem(
            path,
            f'{len(listed)} of {report.checked} label maps looked into are no good: '
            f'{examples(listed)}',
            'a label map has the size of its picture and holds the number of a class '
            'for each pixel; metainfo, num_classes and reduce_zero_label say which',
        )
    ]
