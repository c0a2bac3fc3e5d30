"""COCO, VOC and YOLO labels as the content of one COCO JSON."""

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from ...checks.annotations import check_coco
from ...checks.images import image_size
from ...checks.problems import check_text, raise_if_fatal
from ...errors import UserError, examples
from .finding import find_coco_images, find_labels, read_text


class Annotations(NamedTuple):
    """One part of a detection dataset in COCO's form.

    Attributes:
        ann_file: The JSON.
        images: Folder of the images.
        content: The parsed JSON.
        changed: Whether ``content`` is still to be written to ``ann_file``.
    """

    ann_file: str
    images: str
    content: dict[str, list]
    changed: bool

    @property
    def names(self) -> list[str]:
        """Names of the categories."""
        return [str(category['name']) for category in self.content['categories']]


def read_labels(
    path: str,
    images: str | None,
    classes: Sequence[str],
    split: str,
    masks: bool,
    target: str,
) -> Annotations:
    """Read one part of a detection dataset, in COCO's form in the end.

    Args:
        path: The labels, see :func:`~.finding.find_labels`.
        images: Folder of the images as given by the user.
        classes: The classes in order, or none for those of the labels.
        split: ``'train'`` or ``'val'``.
        masks: Whether masks are needed.
        target: JSON for what is converted.

    Raises:
        UserError: If labels or images are missing or wrong.
    """
    labels = find_labels(path, images, classes, split)
    if labels.form == 'coco':
        return _read_coco(labels.source, images, masks, split == 'val', target)
    if images and not any(os.path.isfile(image) for image, _ in labels.files):
        image = os.path.relpath(labels.files[0][0], images)
        raise UserError(
            f'none of the {len(labels.files)} images of {path}, such as {image}, is in '
            f'{images}: is --images (or --val-images) the right folder?'
        )
    try:
        from .conversion import convert
    except ImportError as error:
        raise UserError(
            f'{labels.form.upper()} labels are read by supervision, which cannot be '
            f"imported ({error}): pip install 'supervision>=0.31,<0.32'"
        ) from error
    content = convert(labels, classes if labels.form == 'voc' else (), masks)
    return Annotations(target, labels.images, content, changed=True)


def _read_coco(
    path: str, images: str | None, masks: bool, test: bool, target: str
) -> Annotations:
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        cut = '' if text.rstrip().endswith(('}', ']')) else ', it is cut short'
        raise UserError(
            f'{path} is no valid JSON{cut} ({error}): copy it again'
        ) from error
    lists = ('images', 'annotations', 'categories')
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in lists
    ):
        raise UserError(
            f'{path} is not in COCO form: it needs the lists {", ".join(lists)}'
        )
    problems = check_coco(content, path, (), masks, test)
    raise_if_fatal(problems, lambda line: None)  # others: when the config is checked
    names = [image['file_name'] for image in content['images']]
    folder, found = find_coco_images(path, names, images)
    wrong = []
    for image in content['images']:
        image['file_name'] = found[image['file_name']]
        size = image_size(os.path.join(folder, image['file_name']))
        said = image['height'], image['width']
        if size is not None and size != said:
            wrong.append(
                f'{image["file_name"]} ({said[1]}x{said[0]}, really {size[1]}x{size[0]})'
            )
    if wrong:
        raise UserError(
            f'{path} gives {len(wrong)} images another size than they have: '
            f'{examples(wrong)}: boxes may be of other, turned or resized images: correct '
            'width and height, or label again'
        )
    # The toolboxes read plain UTF-8, and names as they are.
    marked = check_text(path) is not None
    changed = marked or list(found) != list(found.values())
    return Annotations(target if changed else path, folder, content, changed)
