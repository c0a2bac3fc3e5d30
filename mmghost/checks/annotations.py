"""Annotation files in COCO format."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import did_you_mean, examples
from .problems import Problem

_KEYS = {
    'images': ['id', 'file_name', 'width', 'height'],
    'categories': ['id', 'name'],
    'annotations': ['id', 'image_id', 'category_id', 'bbox', 'area'],
}
_REMEDIES = {
    'area': 'add the area of each object, or of its box, in px',
    'iscrowd': 'add "iscrowd": 0, which the evaluation reads',
    'segmentation': 'label outlines, or train a detector of boxes',
}


def load_coco(path: str) -> dict[str, list] | Problem:
    """Return the content of a COCO JSON, or what is wrong with the file as a whole."""
    text = Path(path).read_bytes()
    try:
        content = json.loads(text)
    except ValueError as error:
        kind = 'not' if text.rstrip().endswith((b'}', b']')) else 'truncated'
        return Problem(path, f'is {kind} JSON: {error}', 'copy or export it again')
    if isinstance(content, dict):
        content.setdefault('annotations', [])  # of test images there are none
    for key in _KEYS:
        if not (isinstance(content, dict) and isinstance(content.get(key), list)):
            what = f'is not in COCO format: it has no list {key!r}'
            return Problem(path, what, f'a COCO JSON has {", ".join(_KEYS)}')
    return content


def check_coco(
    content: dict[str, list],
    path: str,
    classes: Sequence[str] = (),
    masks: bool = False,
    test: bool = False,
) -> list[Problem]:
    """Check the entries of a COCO JSON.

    Args:
        content: The parsed file.
        path: The file, for the messages.
        classes: The class names that the config asks for.
        masks: Whether objects need a ``segmentation``.
        test: Whether it is evaluated on, which needs ``iscrowd``.

    Returns:
        What is wrong, one problem for each kind of error.
    """
    needed = ['iscrowd'] * test + ['segmentation'] * masks
    # Each step would repeat what the one before has found, in other words.
    problems = list(_check_keys(content, path, needed, test))
    if not problems:
        problems = list(_check_categories(content, path, classes))
    if not problems:
        problems = list(_check_references(content, path))
    if content['annotations'] and not any(problem.fatal for problem in problems):
        problems += _check_boxes(content, path, classes, test)
    return problems


def _check_keys(
    content: dict[str, list], path: str, needed: list[str], test: bool
) -> Iterator[Problem]:
    for kind, keys in _KEYS.items():
        entries = content[kind]
        for key in keys + needed * (kind == 'annotations'):
            found = [f'{kind}[{i}]' for i, e in enumerate(entries) if key not in e]
            what = f'{len(found)} {kind} have no {key}: {examples(found)}'
            if found:
                yield Problem(
                    path, what, _REMEDIES.get(key, f'add {key} to each of them')
                )
        ids = Counter(entry.get('id') for entry in entries if 'id' in entry)
        twice = [f'id {key!r}' for key, count in ids.items() if count > 1]
        what = f'{len(twice)} ids of {kind} occur more than once: {examples(twice)}'
        if twice and kind != 'categories':
            yield Problem(path, what, 'give each entry an id of its own')
    if not content['images']:
        yield Problem(path, 'lists no images', 'is it the right file?')
    elif not content['annotations'] and not test:
        yield Problem(path, 'has no annotations to learn from', 'is it the right file?')


def _check_categories(
    content: dict[str, list], path: str, classes: Sequence[str]
) -> Iterator[Problem]:
    """Check that each category stands once, and the classes are categories.

    mmdet numbers the entries of the classes. It leaves out a class that is not there
    without a word, and shifts the labels of those behind it.
    """
    used = {entry['category_id'] for entry in content['annotations']}
    ids = defaultdict(list)
    for entry in content['categories']:
        ids[entry['name']].append(entry['id'])
    for name, found in ids.items():
        kept = next((key for key in found if key in used), found[0])
        others = [key for key in found if key != kept]
        remedy = 'remove all entries of it but one'
        if others and used.isdisjoint(others):
            remedy = f'remove the entry of id {examples(others)}, which no object has'
        elif others:
            remedy = f'give objects of category_id {examples(others)} the id {kept}, '
            remedy += 'then remove the other entries'
        what = f'category {name} is listed {len(found)} times (ids {examples(found)})'
        if len(found) > 1:
            yield Problem(path, what, remedy)
    unknown = [name for name in classes if name not in ids]
    if unknown:
        hint = did_you_mean(unknown[0], ids, 1)
        what = f'has no category {examples(unknown)}, but {examples([*ids], 10)}{hint}'
        remedy = 'set metainfo=dict(classes=(...)) of the datasets, and num_classes'
        yield Problem(path, what, remedy)


def _check_references(content: dict[str, list], path: str) -> Iterator[Problem]:
    """Check that annotations belong to images and categories of the file."""
    for key, kind in (('image_id', 'images'), ('category_id', 'categories')):
        known = {entry['id'] for entry in content[kind]}
        counts = Counter(entry[key] for entry in content['annotations'])
        unknown = [value for value in counts if value not in known]
        count, shown = sum(map(counts.get, unknown)), examples([*map(repr, unknown)])
        what = (
            f'{count} annotations have {key} {shown}, which are not in {kind}, and are '
        )
        what += f'left out; {kind} has {examples(sorted(map(repr, known)))}'
        # Objects of images that somebody took out do no harm.
        fatal = kind == 'categories' or len(unknown) == len(counts)
        if unknown:
            remedy = f'correct the {key}, or add the entry to {kind}'
            yield Problem(path, what, remedy * fatal, fatal)


def _check_boxes(
    content: dict[str, list], path: str, classes: Sequence[str], test: bool
) -> Iterator[Problem]:
    """Check the form of the boxes, and which classes have boxes that mmdet will use."""
    sizes = {e['id']: (e['width'], e['height']) for e in content['images']}
    entries = [e for e in content['annotations'] if e['image_id'] in sizes]
    try:
        x, y, w, h = boxes = np.array([e['bbox'] for e in entries], float).T
        area = np.array([e['area'] for e in entries], float)
        width, height = np.array([sizes[e['image_id']] for e in entries], float).T
    except (ValueError, TypeError):
        odd = [e for e in entries if np.shape(e['bbox']) != (4,)] or entries
        what = f'bbox or area are no numbers, such as in the annotation {odd[0]}'
        yield Problem(path, what, 'bbox is [x, y, width, height] in px')
        return
    such = f'such as {entries[0]["bbox"]} of id {entries[0]["id"]}'
    beyond = (x + w > width + 1) | (y + h > height + 1)
    corners = (w > x) & (h > y) & (w <= width + 1) & (h <= height + 1)
    inside = (np.minimum(x + w, width) > np.maximum(x, 0)) & (w >= 1)
    inside &= (np.minimum(y + h, height) > np.maximum(y, 0)) & (h >= 1)
    used = inside & (area > 0)
    if (boxes.max(0) <= 1).mean() > 0.9:
        what = f'its boxes are fractions of the image, {such}'
        remedy = 'bbox is [x, y, width, height] in px; new_config.py reads YOLO labels'
        yield Problem(path, what, remedy)
        return
    if beyond.mean() > 0.2 and corners.mean() > 0.95:
        what = (
            f'its boxes are corners [x1, y1, x2, y2], {such}: as [x, y, width, height] '
        )
        what += f'{beyond.sum()} of {len(beyond)} end outside their image'
        yield Problem(path, what, 'subtract x1 from x2 and y1 from y2')
        return
    if not used.all():
        ids = [f'id {entry["id"]}' for entry, use in zip(entries, used) if not use]
        reason = 'their area is 0' if inside[~used].any() else 'no px in their image'
        what = f'mmdet leaves out {len(ids)} of {len(used)} objects, {reason}: '
        remedy = 'correct bbox and area'
        yield Problem(path, what + examples(ids), remedy, fatal=not used.any())
    names = {entry['id']: entry['name'] for entry in content['categories']}
    seen = {names.get(entry['category_id']) for entry, use in zip(entries, used) if use}
    unseen = [name for name in classes if name not in seen]
    if unseen and used.any() and not test:
        groups = {entry.get('supercategory') for entry in content['categories']}
        remedy = 'check the export, or take them out of the classes'
        if not groups.isdisjoint(unseen):
            remedy = 'a supercategory is not a class: take it out of the classes'
        what = f'has no object of the classes {examples(unseen)}'
        yield Problem(path, what, remedy, fatal=len(unseen) == len(classes))
