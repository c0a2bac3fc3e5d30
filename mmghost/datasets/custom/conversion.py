"""VOC and YOLO labels in COCO format, read by supervision."""

import json
import os
import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from defusedxml.ElementTree import ParseError, fromstring
from pycocotools import mask as mask_api
from rich.progress import track
from supervision import DetectionDataset

from ...checks.images import image_fault, image_size
from ...checks.problems import Problem, raise_if_fatal
from ...errors import examples
from .finding import Labels, read_text

_OVER = 0.01  # of a side, that rounded YOLO labels may reach out of the image
_REMEDIES = {
    'images do not exist': 'copy them, or remove their labels',
    'images are damaged': 'copy them again, or remove their labels',
    'label files cannot be read': 'fix them, or remove them if their images are empty',
    'label files are for another size': 'the image was turned or resized, or is another '
    'one: label it again, or correct <size>',
    'label files have boxes outside of the image': 'YOLO labels are fractions of width '
    'and height, from 0 to 1',
}


class _LabelError(Exception):
    def __init__(self, kind: str, words: object) -> None:
        super().__init__(' '.join(str(words).split())[:160])
        self.kind = kind


def convert(labels: Labels, masks: bool = False) -> dict[str, list]:
    """Convert VOC or YOLO labels to the content of a COCO JSON.

    Args:
        labels: What :func:`~.finding.find_labels` found. Further names in VOC files
            become the last categories.
        masks: Whether to convert polygons to masks.

    Raises:
        UserError: If files are missing or wrong.
    """
    faults: dict[str, list[str]] = defaultdict(list)
    images, annotations = [], []
    title = f'{labels.form.upper()} labels'
    for image, label in track(labels.files, description=title, transient=True):
        size = image_size(image)
        if not os.path.isfile(image):
            faults['images do not exist'].append(image)
        elif size is None:
            faults['images are damaged'].append(f'{image} {image_fault(image)}')
        else:
            name = Path(os.path.relpath(image, labels.images)).as_posix()
            entry = dict(file_name=name, width=size[1], height=size[0])
            images.append(dict(entry, id=len(images) + 1))
            try:
                objects = _read(labels, image, label, size, masks)
            except _LabelError as error:
                faults[error.kind].append(f'{label} ({error})')
                continue
            for each in objects:
                annotations.append(
                    dict(each, id=len(annotations) + 1, image_id=len(images))
                )
    raise_if_fatal(
        Problem(
            labels.source, f'{len(files)} {kind}: {examples(files)}', _REMEDIES[kind]
        )
        for kind, files in faults.items()
    )
    others = {entry['category_id'] for entry in annotations} - set(labels.classes)
    ids = {name: i for i, name in enumerate([*labels.classes, *sorted(others)])}
    for entry in annotations:
        entry['category_id'] = ids[entry['category_id']]
    categories = [dict(id=i, name=n, supercategory=n) for n, i in ids.items()]
    return dict(images=images, annotations=annotations, categories=categories)


def _read(
    labels: Labels, image: str, label: str, size: tuple[int, int], masks: bool
) -> list[dict[str, Any]]:
    """Read the objects of one label file; ``category_id`` is a name for now."""
    if not os.path.isfile(label):
        return []  # nothing to be seen in the image
    is_voc = labels.form == 'voc'
    text = _voc_text(label, size) if is_voc else read_text(label)
    # Four numbers in YOLO's files are a box, more are a polygon.
    outlined = [len(line.split()) > 6 for line in text.splitlines() if line.strip()]
    masks = masks and (is_voc or any(outlined))
    # supervision reads folders: make one of this file.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'images').mkdir()
        copy = folder / f'images/0{Path(image).suffix.lower()}'
        copy.symlink_to(Path(image).resolve())
        (folder / ('0.xml' if is_voc else '0.txt')).write_text(text, encoding='utf-8')
        data = dict(names=labels.classes) | labels.options
        (folder / 'data.yaml').write_text(json.dumps(data), encoding='utf-8')
        folders = (str(folder / 'images'), name)
        try:
            if is_voc:
                dataset = DetectionDataset.from_pascal_voc(*folders, force_masks=masks)
            else:
                dataset = DetectionDataset.from_yolo(
                    *folders, str(folder / 'data.yaml'), force_masks=masks
                )
        except ValueError as error:
            words = re.sub(rf"[^']*'{re.escape(name)}[^']*'[:\s]*", '', str(error))
            raise _LabelError('label files cannot be read', words) from error
    (found,) = dataset.annotations.values()
    sides = np.array([*size[::-1], *size[::-1]])
    far = (found.xyxy < -_OVER * sides) | (found.xyxy > (1 + _OVER) * sides)
    if far.any() and not is_voc:
        box = found.xyxy[far.any(axis=1)][0].round(1).tolist()
        raise _LabelError('label files have boxes outside of the image', f'{box} px')
    objects = []
    for i, (x1, y1, x2, y2) in enumerate(found.xyxy.astype(float).round(2).tolist()):
        box = [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]
        entry = dict(bbox=box, area=box[2] * box[3], iscrowd=0)
        entry['category_id'] = dataset.classes[int(found.class_id[i])]
        if masks and (is_voc or outlined[i]) and found.mask[i].any():
            rle = mask_api.encode(np.asfortranarray(found.mask[i].astype(np.uint8)))
            entry['area'] = float(mask_api.area(rle))
            entry['segmentation'] = dict(rle, counts=rle['counts'].decode())
        objects.append(entry)
    return objects


def _voc_text(path: str, size: tuple[int, int]) -> str:
    """Return a VOC file in UTF-8, once it is one and for an image of this size."""
    content = Path(path).read_bytes()
    # The parser knows few encodings, GBK is not among them.
    declared = re.match(rb'<\?xml[^>]*encoding=.(gb\w+|big5)', content, re.IGNORECASE)
    try:
        text = content.decode(declared[1].decode()) if declared else read_text(path)
        text = re.sub(r'^\s*<\?xml[^>]*\?>', '', text)
        root = fromstring(text)
    except (ParseError, ValueError) as error:  # ValueError: also an entity bomb
        raise _LabelError('label files cannot be read', error) from error
    if root.tag != 'annotation':
        raise _LabelError('label files cannot be read', f'begins with <{root.tag}>')
    said = [root.findtext(f'size/{side}', '').strip() for side in ('height', 'width')]
    # Many tools leave the size out, or write 0.
    known = all(number.isdigit() and int(number) for number in said)
    if known and tuple(map(int, said)) != size:
        words = f'{said[1]}x{said[0]}, the image is {size[1]}x{size[0]}'
        raise _LabelError('label files are for another size', words)
    return text
