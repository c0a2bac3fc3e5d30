"""A user's data in every form, made from Shapes, and ways to break them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmghost.datasets.custom import Choices, new_config
from mmghost.datasets.shapes import make_shapes

WAYS = {
    'coco': ('detection', 'coco/train.json', 'coco/val.json'),
    'masks': ('instance', 'coco/train.json', 'coco/val.json'),
    'voc': ('detection', 'voc/ImageSets/Main/train.txt', 'voc/ImageSets/Main/val.txt'),
    'yolo': ('detection', 'yolo/data.yaml', 'yolo/data.yaml'),
    'maps': ('segmentation', 'maps/img_dir/train', 'maps/img_dir/val'),
    'folders': ('classification', 'folders/train', 'folders/val'),
}
CLASSES = ['circle', 'crescent', 'cross', 'heart', 'ring', 'square', 'star', 'triangle']


def write(form: str, notes: list[str] | None = None, **arguments: Any) -> Config:
    """Write mine.py for a form of the data in the current folder; return the config."""
    task, train, val = WAYS[form]
    names = [name for name in arguments if name in Choices._fields]
    choices = dict(weights='none') | {name: arguments.pop(name) for name in names}
    given = dict(task=task, train=train, val=val, out='mine.py') | arguments
    note = (lambda line: None) if notes is None else notes.append
    path = new_config(**given, choices=Choices(**choices), note=note)
    return Config.fromfile(path)


def edit_json(name: str, change: Callable[[dict], Any]) -> None:
    """Change the content of a JSON file."""
    content = json.loads(Path(name).read_text())
    change(content)
    Path(name).write_text(json.dumps(content))


def _voc(entries: list[dict], names: dict[int, str], width: int, height: int) -> str:
    objects = ''
    for entry in entries:
        x, y, w, h = entry['bbox']
        # VOC counts pixels from 1, and its maximum is the last one inside.
        objects += (
            f'<object><name>{names[entry["category_id"]]}</name><bndbox>'
            f'<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>'
            f'<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>'
        )
    size = f'<size><width>{width}</width><height>{height}</height></size>'
    return f'<annotation>{size}{objects}</annotation>'


def _yolo(entries: list[dict], names: dict[int, str], width: int, height: int) -> str:
    lines = []
    for entry in entries:
        x, y, w, h = entry['bbox']
        place = (x + w / 2) / width, (y + h / 2) / height, w / width, h / height
        label = list(names).index(entry['category_id'])
        lines.append(f'{label} ' + ' '.join(f'{value:.6f}' for value in place))
    return '\n'.join(lines)


@pytest.fixture(scope='session')
def forms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shapes as coco, voc, yolo, maps (segmentation) and folders (classes)."""
    root = tmp_path_factory.mktemp('forms')
    shapes = root / 'shapes'
    make_shapes(shapes, train=16, val=8, size=96, progress=False)
    for folder in ('coco/images', 'voc/Annotations', 'voc/JPEGImages'):
        (root / folder).mkdir(parents=True)
    (root / 'voc/ImageSets/Main').mkdir(parents=True)
    for split in ('train', 'val'):
        source = shapes / f'coco/annotations/instances_{split}2017.json'
        content = json.loads(source.read_text())
        names = {entry['id']: entry['name'] for entry in content['categories']}
        for kind in ('images', 'labels'):
            (root / f'yolo/{kind}/{split}').mkdir(parents=True)
        stems = []
        for image in content['images']:
            path = shapes / f'coco/{split}2017' / image['file_name']
            image['file_name'] = f'{split}_{image["file_name"]}'
            stem = Path(image['file_name']).stem
            stems.append(stem)
            for folder in ('coco/images', 'voc/JPEGImages', f'yolo/images/{split}'):
                shutil.copy(path, root / folder / image['file_name'])
            own = [e for e in content['annotations'] if e['image_id'] == image['id']]
            text = _voc(own, names, image['width'], image['height'])
            (root / f'voc/Annotations/{stem}.xml').write_text(text)
            text = _yolo(own, names, image['width'], image['height'])
            (root / f'yolo/labels/{split}/{stem}.txt').write_text(text)
        (root / f'coco/{split}.json').write_text(json.dumps(content))
        (root / f'voc/ImageSets/Main/{split}.txt').write_text('\n'.join(stems))
        ade = shapes / 'ade/ADEChallengeData2016'
        part = dict(train='training', val='validation')[split]
        shutil.copytree(ade / f'images/{part}', root / f'maps/img_dir/{split}')
        shutil.copytree(ade / f'annotations/{part}', root / f'maps/ann_dir/{split}')
        shutil.copytree(shapes / f'imagenet/{split}', root / f'folders/{split}')
    (root / 'yolo/data.yaml').write_text(
        f'train: images/train\nval: images/val\nnames: [{", ".join(CLASSES)}]\n'
    )
    (root / 'maps/classes.txt').write_text('\n'.join(['none', *CLASSES]))
    shutil.rmtree(shapes)
    return root


@pytest.fixture
def own(forms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of all forms that a test may break, the current folder."""
    shutil.copytree(forms, tmp_path / 'data')
    monkeypatch.chdir(tmp_path / 'data')
    return tmp_path / 'data'
