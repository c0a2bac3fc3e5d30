"""Annotation files in COCO format."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import did_you_mean, examples
from .problems import Problem

Content = dict[str, list[dict]]
_KEYS = {
    'images': ['id', 'file_name', 'width', 'height'],
    'categories': ['id', 'name'],
    'annotations': ['id', 'image_id', 'category_id', 'bbox', 'area'],
}


def read_coco(
    path: str, classes: Sequence[str] = (), masks: bool = False, test: bool = False
) -> tuple[Content, list[Problem]]:
    """Read and check a COCO JSON.

    Args:
        path: The file.
        classes: The class names that the config asks for.
        masks: Whether objects need a ``segmentation``.
        test: Whether it is evaluated on, which needs ``iscrowd``.

    Returns:
        The content, and what the first step that finds an error has found.
    """
    needed = ['iscrowd'] * test + ['segmentation'] * masks
    try:
        content = json.loads(Path(path).read_bytes())
        content.setdefault('annotations', [])  # of test images there are none
        problems = [*_check_keys(content, path, needed)]
        problems = problems or [*_check_categories(content, path, classes)]
        problems = problems or [*_check_boxes(content, path, classes, test)]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f'is no COCO JSON ({error}) - it has {", ".join(_KEYS)}, and each bbox'
        return {}, [Problem(path, f'{what} is [x, y, width, height]')]
    return content, problems


def _check_keys(content: Content, path: str, needed: list[str]) -> Iterator[Problem]:
    """Check that entries are complete, their ids unique, and what they refer to exists."""
    for kind, keys in _KEYS.items():
        entries = content[kind]
        for key in keys + needed * (kind == 'annotations'):
            without = [i for i, e in enumerate(entries) if e.get(key) in (None, [])]
            value = ': 0' * (key == 'iscrowd')
            what = f'{len(without)} {kind} have no {key} - add {key}{value} to each, first '
            if without:
                yield Problem(path, f'{what}to {kind}[{without[0]}]')
        ids = Counter(entry.get('id', i) for i, entry in enumerate(entries))
        twice = examples([key for key, count in ids.items() if count > 1])
        if twice:
            yield Problem(path, f'{kind} share the ids {twice} - each has its own')
    for key, kind in (('image_id', 'images'), ('category_id', 'categories')):
        known = {entry.get('id') for entry in content[kind]}
        used = {entry.get(key) for entry in content['annotations']} - {None}
        # Objects of images that somebody took out do no harm.
        if used - known and (kind == 'categories' or known.isdisjoint(used)):
            gone = examples(sorted(map(repr, used - known)))
            what = f'annotations have {key} {gone}, but {kind} has '
            what += f'{examples(sorted(map(repr, known)))} - they must be the same'
            yield Problem(path, what)


def _check_categories(
    content: Content, path: str, classes: Sequence[str]
) -> Iterator[Problem]:
    """Check that each category stands once, and the classes are categories.

    mmdet numbers the entries of the classes, in the order of the file. It leaves out a
    class that is not there without a word, and shifts the labels of those behind it.
    """
    used = {entry['category_id'] for entry in content['annotations']}
    ids = defaultdict(list)
    for entry in content['categories']:
        ids[entry['name']].append(entry['id'])
    for name, found in ids.items():
        kept, *others = sorted(found, key=lambda key: key not in used)
        if others:
            what = f'category {name} is listed twice or more, ids {examples(found)} - '
            what += f'keep id {kept}, also for objects of {examples(others)}, if any'
            yield Problem(path, what)
    if unknown := [name for name in classes if name not in ids]:
        hint = did_you_mean(unknown[0], ids, 1)
        what = f'has no category {examples(unknown)}, but {examples([*ids], 10)}{hint}'
        yield Problem(path, f'{what} - set metainfo=dict(classes=...) and num_classes')
    elif (listed := [name for name in ids if name in classes]) != [
        *dict.fromkeys(classes)
    ]:
        what = (
            f'mmdet numbers the classes as its categories stand, {examples(listed, 10)}'
        )
        yield Problem(path, f'{what} - write metainfo.classes in that order')


def _check_boxes(
    content: Content, path: str, classes: Sequence[str], test: bool
) -> Iterator[Problem]:
    """Check the form of the boxes, and which classes have boxes that mmdet will use."""
    sizes = {e['id']: (e['width'], e['height']) for e in content['images']}
    entries = [e for e in content['annotations'] if e['image_id'] in sizes]
    if not entries:
        if not sizes or not test:
            what = f'has no {"object" if sizes else "image"} in it - export it again'
            yield Problem(path, what)
        return
    rows = np.array([[*e['bbox'], e['area'], *sizes[e['image_id']]] for e in entries])
    if rows.dtype.kind == 'U':
        raise TypeError('numbers are in quotes')
    x, y, w, h, area, width, height = rows = rows.astype(float).T
    such = f'such as {entries[0]["bbox"]} of id {entries[0]["id"]}'
    beyond = ((x + w > width + 1) | (y + h > height + 1)).mean()
    corners = ((w > x) & (h > y) & (w <= width + 1) & (h <= height + 1)).mean()
    used = (np.minimum(x + w, width) > np.maximum(x, 0)) & (w >= 1) & (area > 0)
    used &= (np.minimum(y + h, height) > np.maximum(y, 0)) & (h >= 1)
    unused = [f'id {entry["id"]}' for entry, use in zip(entries, used) if not use]
    names = {entry['id']: entry['name'] for entry in content['categories']}
    seen = {names[entry['category_id']] for entry, use in zip(entries, used) if use}
    unseen = [name for name in classes if name not in seen]
    if (rows[:4].max(0) <= 1).mean() > 0.9:
        yield Problem(path, f'its boxes are fractions, {such} - a bbox is in px')
    elif beyond > 0.2 and corners > 0.95:
        what = f'its boxes are corners [x1, y1, x2, y2], {such}, or {beyond:.0%} end outside'
        yield Problem(path, f'{what} of the image - subtract x1 from x2 and y1 from y2')
    elif unused:
        what = f'mmdet leaves out {len(unused)} of {len(used)} objects without area in '
        what += f'the image: {examples(unused)} - correct bbox and area'
        yield Problem(path, what, not used.any())
    if seen and unseen:
        what = f'has no object of the classes {examples(unseen)}, but of '
        what += f'{examples(sorted(seen))} - name classes that it has, or export again'
        yield Problem(path, what, not test and len(unseen) == len(classes))
