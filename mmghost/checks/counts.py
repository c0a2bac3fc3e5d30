"""How many pictures the well-known data sets have: is this all of them, or a part?"""

import os
from collections.abc import Sequence
from typing import Any

from .annotations import Problem

# Of each data set's own documentation. COCO's and ADE20K's are told by the names of files
# and folders, and only with the classes that they were published with.
COCO_2017 = {'instances_train2017.json': 118287, 'instances_val2017.json': 5000}
ADE20K = {'training': 20210, 'validation': 2000}
CITYSCAPES = {'train': 2975, 'val': 500}
IMAGENET = {'train': 1281167, 'val': 50000}


def expected_count(dataset: Any) -> tuple[str, int] | None:
    """Tell how many pictures a data set should have.

    Args:
        dataset: A data set of one of the toolboxes, built with ``lazy_init=True``.

    Returns:
        What it is and how many pictures that has; None where that is not known. What
        it is reads on behind "of", such as ``COCO 2017 (instances_val2017.json)``.
    """
    names = {cls.__name__ for cls in type(dataset).__mro__}
    if 'CocoDataset' in names:
        published = type(dataset).METAINFO.get('classes')
        file = os.path.basename(dataset.ann_file)
        if file in COCO_2017 and dataset.metainfo.get('classes') == published:
            return f'COCO 2017 ({file})', COCO_2017[file]
    if 'ADE20KDataset' in names or 'CityscapesDataset' in names:
        folder = os.path.basename(os.path.normpath(dataset.data_prefix['img_path']))
        title, counts = (
            ('ADE20K', ADE20K)
            if 'ADE20KDataset' in names
            else ('Cityscapes', CITYSCAPES)
        )
        if folder in counts:
            return f'{title} ({folder})', counts[folder]
    if 'ImageNet' in names and getattr(dataset, 'split', None) in IMAGENET:
        return f'ImageNet-1k ({dataset.split})', IMAGENET[dataset.split]
    return None


def check_count(dataset: Any, path: str, files: Sequence[str]) -> list[Problem]:
    """Tell where a well-known data set is there in part only.

    Args:
        dataset: The data set.
        path: Its place in the config.
        files: The pictures that it names, and for segmentation as many label maps.

    Returns:
        At most one problem, which stops no training: parts serve to try a config.
    """
    expected = expected_count(dataset)
    pictures = len(files)
    if dataset.data_prefix.get('seg_map_path') is not None:
        pictures //= 2
    if expected is None or expected[1] == pictures:
        return []
    title, count = expected
    return [
        Problem(
            path,
            f'names {pictures} pictures of {title}, which has {count}',
            'results of a part are not comparable; unpack the whole data set'
            if pictures < count
            else 'are other pictures among them?',
            fatal=False,
        )
    ]
