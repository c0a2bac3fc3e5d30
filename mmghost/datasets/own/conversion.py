"""VOC and YOLO labels into COCO's form, read by supervision, each fault by its entry."""

import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from rich.progress import track

from ...checks import Problem
from ...checks.images import image_fault, image_size
from ...errors import UserError, examples
from .forms import Labels

_OVER = 0.01  # of a side; YOLO labels are rounded, and may reach over it a little


def to_coco(
    labels: Labels,
    classes: Sequence[str] = (),
    masks: bool = False,
    progress: bool = True,
) -> tuple[dict[str, list], list[Problem]]:
    """Convert VOC or YOLO labels.

    Args:
        labels: What :func:`~mmghost.datasets.own.forms.find_labels` found.
        classes: The classes in order; without them those of YOLO's names, or all names
            that occur in VOC's files, sorted.
        masks: Whether to convert polygons to masks as well.
        progress: Show a progress bar.

    Returns:
        The content of a COCO JSON, its ``file_name`` relative to ``labels.pictures``, and
        what is wrong with the labels, one problem for each kind of fault. Names in VOC's
        files that are not among ``classes`` are the last categories, without objects.

    Raises:
        UserError: If supervision is not installed.
    """
    reader = {'voc': _read_voc, 'yolo': _read_yolo}[labels.form]
    formats = _supervision(labels.form)
    faults: dict[tuple[str, str], list[str]] = {}
    images, found = [], []
    names = list(classes or labels.classes)
    files = track(
        labels.files, description=f'{labels.form.upper()} labels', disable=not progress
    )
    for number, (picture, label) in enumerate(files, 1):
        size = image_size(picture)
        if size is None:
            what = image_fault(picture) or 'cannot be read'
            missing = not os.path.isfile(picture)
            kind = 'pictures are not there' if missing else 'pictures are no good'
            faults.setdefault(
                (kind, 'copy them again, or remove their labels'), []
            ).append(picture if missing else f'{picture} {what}')
            continue
        height, width = size
        images.append(
            dict(
                id=number,
                file_name=os.path.relpath(picture, labels.pictures),
                width=width,
                height=height,
            )
        )
        if not os.path.isfile(label):
            continue  # nothing to be seen in it
        objects, wrong = reader(formats, label, (width, height), names, masks)
        for kind, remedy, entry in wrong:
            faults.setdefault((kind, remedy), []).append(f'{label} {entry}'.strip())
        found += [(number, *each) for each in objects]
    if not (classes or labels.classes):
        names = sorted({name for _, name, *_ in found})
    unknown = sorted({name for _, name, *_ in found} - set(names))
    content = dict(
        images=images,
        annotations=_annotations(found, {name: i for i, name in enumerate(names)}),
        categories=[dict(id=i, name=name) for i, name in enumerate([*names, *unknown])],
    )
    problems = [
        Problem(labels.source, f'{len(entries)} {kind}: {examples(entries)}', remedy)
        for (kind, remedy), entries in faults.items()
    ]
    if unknown:
        problems.append(
            Problem(
                labels.source,
                f'objects of the classes {examples(unknown)} are left out',
                'they are not among the classes to train on',
                fatal=False,
            )
        )
    return content, problems


def _annotations(found: Sequence[tuple], ids: dict[str, int]) -> list[dict[str, Any]]:
    annotations = []
    for image_id, name, (x1, y1, x2, y2), mask in found:
        if name not in ids:
            continue
        entry = dict(
            id=len(annotations) + 1,
            image_id=image_id,
            category_id=ids[name],
            bbox=[x1, y1, x2 - x1, y2 - y1],
            area=(x2 - x1) * (y2 - y1),
            iscrowd=0,
        )
        if mask is not None:
            entry.update(segmentation=mask, area=float(_mask_api().area(mask)))
        annotations.append(entry)
    return annotations


def _supervision(form: str) -> ModuleType:
    try:
        if form == 'voc':
            from supervision.dataset.formats import pascal_voc as formats
        else:
            from supervision.dataset.formats import yolo as formats
    except ImportError as error:
        raise UserError(
            f'{form.upper()} labels are read by the library supervision, which is not '
            f"there ({error}): pip install 'supervision>=0.31,<0.32'"
        ) from None
    return formats


def _mask_api() -> ModuleType:
    from pycocotools import mask

    return mask


Fault = tuple[str, str, str]  # kind, remedy, entry
Object = tuple[str, list[float], dict | None]  # class, x1 y1 x2 y2, RLE


def _read_voc(
    formats: ModuleType,
    path: str,
    size: tuple[int, int],
    names: Sequence[str],
    masks: bool,
) -> tuple[list[Object], list[Fault]]:
    from defusedxml.common import DefusedXmlException

    kind = 'XML files are no VOC labels'
    remedy = 'mend or remove these files; their pictures are then taken as empty'
    try:
        root = formats.parse(path).getroot()
        objects = root.findall('object')
        difference = _size_difference(root, size)
        if root.tag != 'annotation':
            return [], [(kind, remedy, f'(begins with <{root.tag}>)')]
        if difference:
            return [], [
                (
                    'XML files give another size than their picture has',
                    'the boxes may be of another picture, or of one that was turned or '
                    'resized: label it again, or mend <size>',
                    difference,
                )
            ]
        detections, classes = formats.detections_from_xml_obj(root, [], size, masks)
    except (ParseError, DefusedXmlException, ValueError, UnicodeDecodeError) as error:
        return [], [(kind, remedy, f'({_words(error)})')]
    except OSError as error:
        return [], [(kind, remedy, f'({error.strerror})')]
    assert len(objects) == len(detections)
    return _objects(detections, classes, masks), []


def _size_difference(root: Any, size: tuple[int, int]) -> str:
    """How the size in a VOC file differs from the picture's, in words."""
    said = [root.findtext(f'size/{side}', '').strip() for side in ('width', 'height')]
    if not all(text.isdigit() and int(text) for text in said):
        return ''  # many tools leave it out, or write 0
    if (int(said[0]), int(said[1])) == size:
        return ''
    return f'({said[0]}x{said[1]}, the picture {size[0]}x{size[1]})'


def _read_yolo(
    formats: ModuleType,
    path: str,
    size: tuple[int, int],
    names: Sequence[str],
    masks: bool,
) -> tuple[list[Object], list[Fault]]:
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().split('\n')
    except (OSError, UnicodeDecodeError) as error:
        return [], [('label files cannot be read', 'label these pictures again',
                     f'({_words(error)})')]  # fmt: skip
    objects: list[Object] = []
    faults: list[Fault] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = f'line {number} ({line.strip()[:60]!r})'
        try:
            # Four numbers are a box: no mask can be made of it.
            polygon = masks and len(line.split()) > 6
            detection = formats.yolo_annotations_to_detections([line], size, polygon)
        except ValueError as error:
            faults.append(
                (
                    'lines are no YOLO labels',
                    'a line is `class x y width height`, or `class x1 y1 x2 y2 ...`',
                    f'{entry} ({_words(error)[:120]})',
                )
            )
            continue
        label = int(detection.class_id[0])
        if not 0 <= label < len(names):
            faults.append(
                (
                    f'lines name a class that is not there (0 to {len(names) - 1})',
                    'add its name to the classes, or mend the label',
                    entry,
                )
            )
        elif _is_far_outside(detection.xyxy[0], size):
            faults.append(
                (
                    'lines name places outside of the picture',
                    'YOLO labels are fractions of its width and height, from 0 to 1',
                    entry,
                )
            )
        else:
            objects += _objects(detection, list(names), masks)
    return objects, faults


def _is_far_outside(box: np.ndarray, size: tuple[int, int]) -> bool:
    sides = np.array([*size, *size])
    return bool((box < -_OVER * sides).any() or (box > (1 + _OVER) * sides).any())


def _objects(detections: Any, names: Sequence[str], masks: bool) -> list[Object]:
    objects: list[Object] = []
    for i, box in enumerate(detections.xyxy):
        mask = None
        if masks and detections.mask is not None and detections.mask[i].any():
            mask = _mask_api().encode(
                np.asfortranarray(detections.mask[i].astype(np.uint8))
            )
            mask['counts'] = mask['counts'].decode('ascii')
        name = names[int(detections.class_id[i])]
        objects.append((name, [round(float(value), 2) for value in box], mask))
    return objects


def _words(error: BaseException) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
