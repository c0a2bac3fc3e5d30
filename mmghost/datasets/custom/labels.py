"""Labels of objects in any form as a COCO JSON: VOC, YOLO and labelme by supervision."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...checks.annotations import Content, read_coco
from ...checks.images import image_size
from ...checks.problems import check_text, raise_if_fatal
from ...errors import UserError, examples
from .finding import Files, find_coco_images, find_files, find_orphans, read_text

_OVER = 0.01  # of a side, that rounded YOLO labels may reach out of the image


class Part(NamedTuple):
    """The training or the validation part of a dataset: a COCO JSON and its images."""

    ann_file: str
    images: str
    content: Content


def read_part(job: Any, split: str, classes: Sequence[str]) -> Part:
    """Read a part of a detection dataset; write it as a COCO JSON unless it is one.

    Args:
        job: A :class:`~.making.Job`.
        split: ``'train'`` or ``'val'``.
        classes: Names of the classes, as far as they are known.

    Raises:
        UserError: If labels or images are missing or wrong.
    """
    is_val, masks = split == 'val', job.task == 'instance'
    path, choices = job.paths[is_val], job.choices
    images = (is_val and choices.val_images) or choices.images
    files = find_files(path, images, split)
    if isinstance(files, str):
        part, changed = _read_coco(files, images, masks, is_val)
    else:
        names = files.classes or classes
        part, changed = Part(path, files.folder, _convert(files, names, masks)), True
        if orphans := find_orphans(files):
            what = f'no image in {files.folder} and are left out: {examples(orphans)}'
            job.note(f'{path}: {len(orphans)} label files have {what}')
    # mmdet numbers categories as they stand.
    entries, order = part.content['categories'], {n: i for i, n in enumerate(classes)}
    before = [*entries]
    known = {entry['name'] for entry in entries}
    if known <= order.keys() or order.keys() <= known:  # else the checks say so
        entries.sort(key=lambda entry: order.get(entry['name'], len(order)))
    if changed or entries != before:
        part = part._replace(ann_file=(job.data / f'{split}.json').as_posix())
        job.data.mkdir(parents=True, exist_ok=True)
        Path(part.ann_file).write_text(json.dumps(part.content), encoding='utf-8')
        job.note(f'{path}: converted to {part.ann_file}, in COCO format')
    return part


def _read_coco(
    path: str, images: str | None, masks: bool, test: bool
) -> tuple[Part, bool]:
    """Read a COCO JSON; return True if its text or names of images had to change."""
    read_text(path)
    content, problems = read_coco(path, (), masks, test)
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
    changed = check_text(path) is not None or list(found) != list(found.values())
    return Part(path, folder, content), changed


def _convert(files: Files, classes: Sequence[str], masks: bool) -> Content:
    """Convert label files to COCO; names that ``classes`` lacks become the last ones."""
    images, annotations, faults = [], [], []
    for image, label in files.pairs:
        size = image_size(image)
        try:
            if size is None:
                raise ValueError(f'{image} is missing or damaged')
            objects = _read(label, size, classes, files.posed, masks) if label else []
        except (AttributeError, KeyError, SyntaxError, TypeError, ValueError) as error:
            faults.append(f'{label or image} ({" ".join(str(error).split())[:160]})')
            continue
        name = Path(os.path.relpath(image, files.folder)).as_posix()
        entry = dict(file_name=name, width=size[1], height=size[0])
        images.append(dict(entry, id=len(images) + 1))
        for each in objects:
            ids = dict(id=len(annotations) + 1, image_id=len(images))
            annotations.append(dict(each, **ids))
    if faults:
        raise UserError(
            f'{len(faults)} of {len(files.pairs)} images or their labels cannot be used: '
            f'{examples(faults)} - fix them, or remove labels if nothing is in their image'
        )
    others = {entry['category_id'] for entry in annotations} - set(classes)
    ids = {name: i for i, name in enumerate([*classes, *sorted(others)])}
    for entry in annotations:
        entry['category_id'] = ids[entry['category_id']]
    categories = [dict(id=i, name=n, supercategory=n) for n, i in ids.items()]
    return dict(images=images, annotations=annotations, categories=categories)


def _read(
    label: str, size: tuple[int, int], classes: Sequence[str], posed: int, masks: bool
) -> list[dict[str, Any]]:
    """Read the objects of one label file; ``category_id`` is a name for now."""
    try:
        from defusedxml.ElementTree import fromstring
        from pycocotools import mask as mask_api
        from supervision.dataset.formats import labelme, pascal_voc, yolo
    except ImportError as error:
        raise UserError(
            f'{label} is read by supervision, which cannot be imported ({error}): pip '
            "install 'supervision>=0.31,<0.32'"
        ) from error
    text, suffix, whole, said = read_text(label), Path(label).suffix, size[::-1], [0]
    if suffix == '.txt':
        # Four numbers are a box, more are its keypoints or a polygon.
        rows = [line.split() for line in text.splitlines() if line.strip()]
        rows = [row[:5] if len(row) == posed else row for row in rows]
        boxes = sum(len(row) < 7 for row in rows)
        names, lines = classes, [' '.join(row) for row in rows]
        found = yolo.yolo_annotations_to_detections(lines, whole, masks)
        if others := {*found.class_id.tolist()} - {*range(len(names))}:
            remedy = 'give data.yaml, classes.txt or --classes'
            raise ValueError(f'class {examples(sorted(others))} has no name: {remedy}')
        far = np.abs(found.xyxy / (*whole, *whole) - 0.5).max(1) > 0.5 + _OVER
        if far.any():
            box = found.xyxy[far][0].round(1).tolist()
            raise ValueError(f'box {box} px is outside; YOLO has fractions from 0 to 1')
    elif suffix == '.xml':
        root = fromstring(text.lstrip())
        if root.tag != 'annotation':
            raise ValueError('no VOC annotation')  # supervision sees no objects in it
        sides = (root.findtext(f'size/{side}') for side in ('height', 'width'))
        said = [int(float(side or 0)) for side in sides]
        boxes = sum(each.find('polygon') is None for each in root.findall('object'))
        found, names = pascal_voc.detections_from_xml_obj(root, [], whole, masks)
    else:
        content = json.loads(text)
        if not isinstance(content, dict) or 'shapes' not in content:
            raise ValueError('no label file of labelme')
        shapes = content['shapes']
        said = [content.get(f'image{side}') for side in ('Height', 'Width')]
        kinds = [shape.setdefault('shape_type', 'polygon') for shape in shapes]
        if others := {*kinds} - {'polygon', 'rectangle'}:
            what = f'shapes of the kinds {examples(sorted(others))} are not read'
            raise ValueError(f'{what}, only polygons and rectangles')
        boxes = kinds.count('rectangle')
        names = sorted({shape.get('label') for shape in shapes} - {None})
        ids = {name: i for i, name in enumerate(names)}
        found = labelme.labelme_shapes_to_detections(shapes, ids, whole, masks)
    if all(said) and (*said,) != size:  # many tools leave it out, or write 0
        said = 'x'.join(map(str, said[::-1]))
        raise ValueError(f'it is for {said} px, the image is {size[1]}x{size[0]}')
    if masks and boxes:
        raise ValueError(f'{boxes} of its objects have a box alone, without an outline')
    objects = []
    for i, (x1, y1, x2, y2) in enumerate(found.xyxy.astype(float).round(2).tolist()):
        box = [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]
        entry = dict(bbox=box, area=box[2] * box[3], iscrowd=0)
        entry['category_id'] = names[found.class_id[i]]
        if masks:
            rle = mask_api.encode(np.asfortranarray(found.mask[i].astype(np.uint8)))
            entry['area'] = float(mask_api.area(rle))
            entry['segmentation'] = dict(rle, counts=rle['counts'].decode())
        objects.append(entry)
    return objects
