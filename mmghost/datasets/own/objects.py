"""What is in annotations of COCO's form: sizes of pictures and boxes, and what is odd."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...checks import Problem
from ...checks.images import image_size
from ...errors import examples

_BORDER = 1.0  # px that a box may reach over the picture's border


class Objects(NamedTuple):
    """The objects of a data set in numbers.

    Attributes:
        pictures: Number of pictures.
        sizes: Their widths and heights in px, (N, 2).
        boxes: Widths and heights of the boxes in px, (M, 2).
        in_picture: For each box the index of its picture, (M,).
        counts: Objects of each class.
    """

    pictures: int
    sizes: np.ndarray
    boxes: np.ndarray
    in_picture: np.ndarray
    counts: Counter

    @property
    def longest_side(self) -> int:
        """The longer side of nearly all pictures (nine of ten are not longer), in px."""
        return round(float(np.quantile(self.sizes.max(1), 0.9)))

    @property
    def most_objects(self) -> int:
        """How many objects the fullest picture has."""
        return int(np.bincount(self.in_picture).max()) if len(self.boxes) else 0

    def boxes_at(self, size: int) -> np.ndarray:
        """Widths and heights of the boxes when longer sides are ``size`` px, (M, 2)."""
        scale = size / self.sizes.max(1)
        return self.boxes * scale[self.in_picture, None]


def count_objects(content: dict[str, list], classes: Sequence[str]) -> Objects:
    """Count the objects of some classes.

    Args:
        content: A COCO JSON that :func:`~mmghost.checks.annotations.check_coco` passed.
        classes: The classes to look at.

    Returns:
        The numbers; crowds and boxes of no area are left out.
    """
    index = {image['id']: i for i, image in enumerate(content['images'])}
    names = {category['id']: category['name'] for category in content['categories']}
    boxes, where, counts = [], [], Counter()
    for entry in content['annotations']:
        name = names.get(entry['category_id'])
        width, height = entry['bbox'][2:]
        if entry.get('iscrowd') or name not in classes or min(width, height) < 1:
            continue
        boxes.append((width, height))
        where.append(index[entry['image_id']])
        counts[name] += 1
    return Objects(
        pictures=len(index),
        sizes=np.array(
            [(image['width'], image['height']) for image in content['images']], float
        ).reshape(-1, 2),
        boxes=np.array(boxes, float).reshape(-1, 2),
        in_picture=np.array(where, int),
        counts=counts,
    )


def odd_objects(
    content: dict[str, list], name: str, classes: Sequence[str], split: str
) -> list[Problem]:
    """Tell what a training survives, but its owner should know.

    Args:
        content: The parsed annotations, without fatal problems.
        name: The file's name, for the messages.
        classes: The classes to train on.
        split: ``'train'`` or ``'val'``.

    Returns:
        Classes without objects, pictures without any, boxes over the border.
    """
    problems = []
    counts = count_objects(content, classes).counts
    empty = [cls for cls in classes if not counts[cls]]
    if empty and len(empty) == len(classes):
        remedy = 'is it the right file? --classes must be names of its categories'
        return [Problem(name, f'has no object of {examples(empty)}', remedy)]
    if empty:
        remedy = (
            'they cannot be learned: leave them out with --classes, or label some'
            if split == 'train'
            else 'their AP will be -1: have some of them in it'
        )
        problems.append(
            Problem(
                name, f'has no object of the classes {examples(empty)}', remedy, False
            )
        )
    sizes = {
        image['id']: (image['width'], image['height']) for image in content['images']
    }
    over = []
    for entry in content['annotations']:
        x, y, width, height = entry['bbox']
        right, bottom = sizes[entry['image_id']]
        least, most = -_BORDER, _BORDER
        if min(x, y) < least or x + width > right + most or y + height > bottom + most:
            over.append(f'id {entry["id"]}')
    if over:
        problems.append(
            Problem(
                name,
                f'{len(over)} boxes reach over the border of their picture: '
                f'{examples(over)}',
                'they are cut there; many of them mean pictures of another size',
                fatal=False,
            )
        )
    seen = {entry['image_id'] for entry in content['annotations']}
    bare = [image for image in content['images'] if image['id'] not in seen]
    if bare:
        problems.append(
            Problem(
                name,
                f'{len(bare)} of {len(content["images"])} pictures have no object: '
                f'{examples([image["file_name"] for image in bare])}',
                'they are left out'
                if split == 'train'
                else 'all found in them is wrong',
                fatal=False,
            )
        )
    return problems


def wrong_sizes(content: dict[str, list], folder: str, name: str) -> list[Problem]:
    """Find pictures whose width or height is not what the annotations say.

    Args:
        content: The parsed annotations.
        folder: The folder of the pictures.
        name: The file's name, for the message.

    Returns:
        At most one problem. Pictures that are not there or no good are left to
        :func:`~mmghost.checks.images.check_pictures`.
    """
    wrong = []
    for image in content['images']:
        size = image_size(os.path.join(folder, str(image['file_name'])))
        said: tuple[Any, Any] = (image['height'], image['width'])
        if size is not None and size != said:
            wrong.append(
                f'{image["file_name"]} ({said[1]}x{said[0]}, in truth {size[1]}x{size[0]})'
            )
    if not wrong:
        return []
    return [
        Problem(
            name,
            f'gives {len(wrong)} pictures another size than they have: {examples(wrong)}',
            'boxes may be of other pictures, or of turned or resized ones: mend width and '
            'height, or label again',
        )
    ]
