"""VOC and YOLO labels in COCO's form, read by supervision."""

import json
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from defusedxml.ElementTree import ParseError, fromstring
from pycocotools import mask as mask_api
from rich.progress import track
from supervision import DetectionDataset

from ...checks.images import image_fault, image_size
from ...checks.problems import Problem, raise_if_fatal
from ...errors import UserError, did_you_mean, examples
from .finding import Labels, read_text

_OVER = 0.01  # of a side, that rounded YOLO labels may reach out of the image
_REMEDIES = {
    'images do not exist': 'copy them again, or remove their labels',
    'images are damaged': 'copy them again, or remove their labels',
    'label files cannot be read': 'fix them, or remove them to take their images as empty',
    'label files are for images of another size': 'the image was turned or resized, or '
    'is another one: label it again, or correct <size>',
    'label files have boxes outside of the image': 'YOLO labels are fractions of its '
    'width and height, from 0 to 1',
}


def convert(
    labels: Labels, classes: Sequence[str] = (), masks: bool = False
) -> dict[str, list]:
    """Convert VOC or YOLO labels to the content of a COCO JSON.

    Args:
        labels: What :func:`~.finding.find_labels` found.
        classes: For VOC the classes in order; default: all names in the files, sorted.
        masks: Whether to convert polygons to masks.

    Raises:
        UserError: If files are missing or wrong.
    """
    faults: dict[str, list[str]] = defaultdict(list)
    names = list(classes or labels.classes)
    images, found = [], []
    show = track(
        labels.files, description=f'{labels.form.upper()} labels', transient=True
    )
    for number, (image, label) in enumerate(show, 1):
        size = image_size(image)
        if not os.path.isfile(image):
            faults['images do not exist'].append(image)
        elif size is None:
            faults['images are damaged'].append(f'{image} {image_fault(image, True)}')
        else:
            name = Path(os.path.relpath(image, labels.images)).as_posix()
            images.append(
                dict(id=number, file_name=name, width=size[1], height=size[0])
            )
            if os.path.isfile(label):  # no file means no object
                try:
                    objects = _objects(labels, image, label, size, masks)
                    found += [dict(entry, image_id=number) for entry in objects]
                except _LabelFault as fault:
                    faults[fault.kind].append(f'{label} ({fault})')
    raise_if_fatal(
        Problem(
            labels.source,
            f'{len(entries)} {kind}: {examples(entries)}',
            _REMEDIES[kind],
        )
        for kind, entries in faults.items()
    )
    others = sorted({entry['category_id'] for entry in found} - set(names))
    if not names:
        names, others = others, []
    if others and not {entry['category_id'] for entry in found} & set(names):
        raise UserError(
            f'no object in {labels.source} is called {" or ".join(names[:3])}'
            f'{did_you_mean(names[0], others, 1)}; there are {examples(others, 10)}'
        )
    ids = {name: i for i, name in enumerate([*names, *others])}
    annotations = [entry for entry in found if entry['category_id'] in names]
    for number, entry in enumerate(annotations, 1):
        entry.update(id=number, category_id=ids[entry['category_id']])
    categories = [dict(id=i, name=n, supercategory=n) for n, i in ids.items()]
    return dict(images=images, annotations=annotations, categories=categories)


class _LabelFault(Exception):
    def __init__(self, kind: str, words: object) -> None:
        super().__init__(' '.join(str(words).split())[:160])
        self.kind = kind


def _objects(
    labels: Labels, image: str, label: str, size: tuple[int, int], masks: bool
) -> list[dict[str, Any]]:
    """Read the objects of one label file; ``category_id`` is a name for now."""
    height, width = size
    is_voc = labels.form == 'voc'
    text = _xml_text(label) if is_voc else read_text(label)
    outlined = [len(line.split()) > 6 for line in text.splitlines() if line.strip()]
    if is_voc:
        outlined = [True] * _check_voc(text, size)
    # supervision reads folders: this is one with this file alone.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / 'images').mkdir()
        os.symlink(
            os.path.abspath(image), root / f'images/0{Path(image).suffix.lower()}'
        )
        (root / ('0.xml' if is_voc else '0.txt')).write_text(text, encoding='utf-8')
        data = dict(names=labels.classes)
        data |= dict(kpt_shape=labels.keypoints) if labels.keypoints else {}
        (root / 'data.yaml').write_text(json.dumps(data), encoding='utf-8')
        places = (str(root / 'images'), folder)
        masks = masks and any(outlined)
        try:
            dataset = (
                DetectionDataset.from_pascal_voc(*places, masks)
                if is_voc
                else DetectionDataset.from_yolo(*places, str(root / 'data.yaml'), masks)
            )
        except ValueError as error:
            words = re.sub(rf"[^']*'{re.escape(folder)}[^']*'[:\s]*", '', str(error))
            raise _LabelFault('label files cannot be read', words) from error
    (found,) = dataset.annotations.values()
    sides = np.array([width, height, width, height])
    far = (found.xyxy < -_OVER * sides) | (found.xyxy > (1 + _OVER) * sides)
    if far.any():
        x1, y1, x2, y2 = found.xyxy[far.any(axis=1)][0].round(1)
        raise _LabelFault(
            'label files have boxes outside of the image',
            f'x {x1} to {x2}, y {y1} to {y2}',
        )
    objects = []
    for i, (x1, y1, x2, y2) in enumerate(found.xyxy.astype(float).round(2).tolist()):
        box = [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]
        entry = dict(bbox=box, area=box[2] * box[3], iscrowd=0)
        entry['category_id'] = dataset.classes[int(found.class_id[i])]
        if found.mask is not None and masks and outlined[i] and found.mask[i].any():
            rle = mask_api.encode(np.asfortranarray(found.mask[i].astype(np.uint8)))
            entry['area'] = float(mask_api.area(rle))
            entry['segmentation'] = dict(
                size=rle['size'], counts=rle['counts'].decode()
            )
        objects.append(entry)
    return objects


def _check_voc(text: str, size: tuple[int, int]) -> int:
    """Check that a VOC file is one, and for an image of this size; count its objects."""
    try:
        root = fromstring(text)
    except (ParseError, ValueError) as error:  # ValueError: an entity bomb, too
        raise _LabelFault('label files cannot be read', error) from error
    if root.tag != 'annotation':
        raise _LabelFault('label files cannot be read', f'begins with <{root.tag}>')
    said = [root.findtext(f'size/{side}', '').strip() for side in ('height', 'width')]
    # Many tools leave the size out, or write 0.
    known = all(number.isdigit() and int(number) for number in said)
    if known and tuple(map(int, said)) != size:
        raise _LabelFault(
            'label files are for images of another size',
            f'{said[1]}x{said[0]}, the image is {size[1]}x{size[0]}',
        )
    return len(root.findall('object'))


def _xml_text(path: str) -> str:
    """Read an XML file in the encoding that it declares, without the declaration."""
    declared = re.match(rb'<\?xml[^>]*encoding=.([\w-]+)', Path(path).read_bytes())
    encoding = declared[1].decode() if declared else 'utf-8'
    try:
        text = Path(path).read_text(encoding=encoding)
    except (LookupError, UnicodeDecodeError):
        text = read_text(path)
    return re.sub(r'^\ufeff?\s*<\?xml[^>]*\?>', '', text)
