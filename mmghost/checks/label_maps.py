"""Label maps of segmentation, read as the training reads them."""

from typing import Any

import numpy as np

from ..errors import examples
from .images import image_size, look_at
from .problems import Problem

_IGNORED = 255  # by mmseg's losses and metrics


def check_label_maps(
    dataset: Any, where: str, seconds: float, train: bool
) -> tuple[list[Problem], int]:
    """Check values and sizes of as many label maps as time allows.

    A value that is no class ends a training on a GPU with an assertion somewhere in CUDA.

    Args:
        dataset: A dataset of mmseg that :func:`~mmghost.checks.check_dataset` passed.
        where: Its place in the config.
        seconds: Time for it.
        train: Whether each class should occur.

    Returns:
        What was found, and how many label maps were looked into.
    """
    load = [t for t in dataset.pipeline.transforms if hasattr(t, '_load_seg_map')]
    classes, entries = dataset.metainfo.get('classes'), dataset.data_list
    if not load or not classes or not entries or 'seg_map_path' not in entries[0]:
        return [], 0

    def look(entry: dict) -> str | list[int]:
        try:
            labels = load[0].transform({**entry, 'seg_fields': []})['gt_seg_map']
        except Exception as error:
            return f'cannot be loaded ({error})'
        if labels.ndim != 2:
            return 'is a color image, not one number for each pixel'
        size = image_size(entry['img_path'])
        if size and size != labels.shape:
            return 'is {1}x{0} px, its image {3}x{2} px'.format(*labels.shape, *size)
        return np.flatnonzero(np.bincount(labels.ravel())).tolist()

    looked = look_at(entries, look, seconds)
    faults = [f'{e["seg_map_path"]} {v}' for e, v in looked if isinstance(v, str)]
    if faults:
        what = f'{len(faults)} of {len(looked)} label maps cannot be used: '
        remedy = 'a label map has the size of its image, and a class number per pixel'
        return [Problem(where, what + examples(faults), remedy)], len(looked)
    held = {value: e['seg_map_path'] for e, values in looked for value in values}
    last, zero = (
        len(classes) - 1,
        ' (after reduce_zero_label)' * dataset.reduce_zero_label,
    )
    wrong = sorted(set(held) - {*range(last + 1), _IGNORED, dataset.ignore_index})
    unseen = [i for i in range(last + 1) if i not in held]
    if wrong:
        what = f'label maps hold {examples(wrong, 5)}{zero}, such as {held[wrong[0]]}; '
        what += f'{last + 1} classes go from 0 to {last}, {_IGNORED} is ignored'
        remedy = 'correct the classes, or have new_config.py write label maps that fit '
        remedy += '(--ignore-label, --label-values)'
        return [Problem(where, what, remedy)], len(looked)
    if not looked or not unseen or not train:
        return [], len(looked)
    names = examples([f'{classes[i]} ({i})' for i in unseen])
    what = f'no pixel of {len(looked)} label maps is of the classes {names}{zero}'
    remedy = 'check the order of the classes, or take them out'
    only = len(unseen) >= last and _IGNORED in held
    if only:
        remedy = f'{_IGNORED} is ignored: if it means {classes[unseen[-1]]}, let new_config.py '
        remedy += 'write label maps without it (--label-values)'
    fatal = only or len(unseen) > last
    return [Problem(where, what, remedy, fatal)], len(looked)
