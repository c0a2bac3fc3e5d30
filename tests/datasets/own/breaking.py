"""How the tests call new_config on each form of data, and how they break files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmghost.datasets.own import new_config
from mmghost.datasets.own.making import Choices
from tests.helpers import changed

WAYS = {
    'coco': ('detection', 'coco/train.json', 'coco/val.json'),
    'masks': ('instance', 'coco/train.json', 'coco/val.json'),
    'voc': (
        'detection',
        'voc/ImageSets/Main/train.txt',
        'voc/ImageSets/Main/val.txt',
    ),
    'yolo': ('detection', 'yolo/data.yaml', 'yolo/data.yaml'),
    'maps': ('segmentation', 'maps/img_dir/train', 'maps/img_dir/val'),
    'folders': ('classification', 'folders/train', 'folders/val'),
}


def write(form: str, **choices: Any) -> Path:
    """Write mine.py for a form of the data in the current folder."""
    task, train, val = WAYS[form]
    if form in ('voc', 'yolo'):
        pytest.importorskip('supervision')
    return new_config(
        task, train, val, 'mine.py',
        choices=Choices(weights='none', **choices), note=lambda line: None,
    )  # fmt: skip


def edit(name: str, path: str, value: Any) -> Callable[[Path], None]:
    """Set an entry of a JSON; None deletes it."""

    def change(root: Path) -> None:
        content = changed(json.loads((root / name).read_text()), path, value)
        (root / name).write_text(json.dumps(content))

    return change


def cut_rle(name: str, index: int) -> Callable[[Path], None]:
    """Cut the end off the mask of an object in a JSON."""

    def change(root: Path) -> None:
        content = json.loads((root / name).read_text())
        mask = content['annotations'][index]['segmentation']
        mask['counts'] = mask['counts'][:-3]
        (root / name).write_text(json.dumps(content))

    return change


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Replace a file."""

    def change(root: Path) -> None:
        (path,) = root.glob(name) if '*' in name else (root / name,)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(data)

    return change


def cut(name: str, count: int = 60) -> Callable[[Path], None]:
    """Cut the end off a file."""

    def change(root: Path) -> None:
        path = sorted(root.glob(name))[0]
        path.write_bytes(path.read_bytes()[:-count])

    return change


def remove(name: str) -> Callable[[Path], None]:
    """Remove a file or folder."""

    def change(root: Path) -> None:
        path = sorted(root.glob(name))[0]
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def swap(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace words in a file."""

    def change(root: Path) -> None:
        path = sorted(root.glob(name))[0]
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new, 1))

    return change


def repaint(name: str, how: str) -> Callable[[Path], None]:
    """Spoil a label map."""

    def change(root: Path) -> None:
        from PIL import Image

        path = sorted(root.glob(name))[0]
        with Image.open(path) as image:
            image.load()
            if how == 'value':
                image.putpixel((3, 4), 77)
            spoilt = {
                'value': image,
                'size': image.resize((33, 44)),
                'colour': image.convert('RGB'),
            }[how]
        spoilt.save(path)

    return change


TRAIN, VAL = 'coco/train.json', 'coco/val.json'
