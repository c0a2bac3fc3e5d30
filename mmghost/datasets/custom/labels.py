"""COCO, VOC and YOLO labels as the content of a COCO JSON."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...checks.annotations import check_coco, load_coco
from ...checks.images import image_size
from ...checks.problems import Problem, check_text, raise_if_fatal
from ...errors import UserError, examples
from .finding import find_coco_images, find_labels, read_text


class Annotations(NamedTuple):
    """One part of a detection dataset in COCO format.

    Attributes:
        source: The labels as given by the user.
        ann_file: The JSON.
        images: Folder of the images.
        content: The parsed JSON.
        changed: Whether ``content`` is still to be written to ``ann_file``.
    """

    source: str
    ann_file: str
    images: str
    content: dict[str, list]
    changed: bool


def read_labels(
    paths: Sequence[str],
    folders: Sequence[str | None],
    classes: Sequence[str],
    masks: bool,
    target: Path,
) -> list[Annotations]:
    """Read the training and the validation part of a detection dataset.

    Args:
        paths: Labels, see :func:`~.finding.find_labels`.
        folders: Folders of the images as given by the user.
        classes: The classes as given by the user.
        masks: Whether masks are needed.
        target: Folder for the JSONs of what is converted.

    Raises:
        UserError: If labels or images are missing or wrong.
    """
    parts: list[Annotations] = []
    for path, images, split in zip(paths, folders, ('train', 'val')):
        new = (target / f'{split}.json').as_posix()
        # VOC files do not list the classes; those of the training part go first.
        first = (
            [entry['name'] for entry in parts[0].content['categories']] if parts else ()
        )
        labels = find_labels(path, images, classes or first, split)
        if labels.form == 'coco':
            parts.append(_read_coco(labels.source, images, masks, split == 'val', new))
            continue
        try:
            from .conversion import convert
        except ImportError as error:
            raise UserError(
                f'{labels.form.upper()} labels are read by supervision, which cannot be '
                f"imported ({error}): pip install 'supervision>=0.31,<0.32'"
            ) from error
        if images and not any(os.path.isfile(image) for image, _ in labels.files):
            raise UserError(
                f'none of the {len(labels.files)} images of {path} is in {images}: is '
                '--images (or --val-images) the right folder?'
            )
        parts.append(
            Annotations(path, new, labels.images, convert(labels, masks), True)
        )
    return parts


def _read_coco(
    path: str, images: str | None, masks: bool, test: bool, new: str
) -> Annotations:
    source = path
    if check_text(path) is not None:  # the toolboxes read UTF-8 without a mark
        source = new
        Path(new).parent.mkdir(parents=True, exist_ok=True)
        Path(new).write_text(read_text(path), encoding='utf-8')
    content = load_coco(source)
    if isinstance(content, Problem):
        raise_if_fatal([content])
    problems = check_coco(content, path, (), masks, test)
    raise_if_fatal(problems, lambda line: None)  # others: when the config is checked
    names = [image['file_name'] for image in content['images']]
    folder, found = find_coco_images(path, names, images)
    wrong = []
    for image in content['images']:
        image['file_name'] = found[image['file_name']]
        size = image_size(os.path.join(folder, image['file_name']))
        if size not in (None, (image['height'], image['width'])):
            said = f'{image["width"]}x{image["height"]}'
            wrong.append(f'{image["file_name"]} ({said}, really {size[1]}x{size[0]})')
    if wrong:
        raise UserError(
            f'{path} gives {len(wrong)} images another size than they have: '
            f'{examples(wrong)}: boxes may be of other, turned or resized images: correct '
            'width and height, or label again'
        )
    changed = source == new or list(found) != list(found.values())
    return Annotations(path, new if changed else path, folder, content, changed)
