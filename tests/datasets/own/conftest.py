"""A person's data in every form, made of the Shapes; broken ones are broken copies."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.engine.conftest import no_trace_of_other_runners, shapes  # noqa: F401


def write_voc_and_yolo(coco: Path, folder: Path) -> None:
    """Write COCO boxes as VOC and as YOLO, without the library that reads them."""
    for split in ('train', 'val'):
        content = json.loads((coco / f'{split}.json').read_text())
        names = {entry['id']: entry['name'] for entry in content['categories']}
        order = list(names.values())
        (folder / 'voc/Annotations').mkdir(parents=True, exist_ok=True)
        (folder / 'voc/JPEGImages').mkdir(exist_ok=True)
        (folder / 'voc/ImageSets/Main').mkdir(parents=True, exist_ok=True)
        for kind in ('images', 'labels'):
            (folder / 'yolo' / kind / split).mkdir(parents=True, exist_ok=True)
        stems = []
        for image in content['images']:
            stem = Path(image['file_name']).stem
            stems.append(stem)
            width, height = image['width'], image['height']
            objects, lines = '', []
            for entry in content['annotations']:
                if entry['image_id'] != image['id']:
                    continue
                x, y, w, h = entry['bbox']
                name = names[entry['category_id']]
                # VOC counts pixels from 1, and its maximum is the last one inside.
                objects += (
                    f'<object><name>{name}</name><bndbox><xmin>{x + 1}</xmin>'
                    f'<ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>'
                    '</bndbox></object>'
                )
                lines.append(
                    f'{order.index(name)} {(x + w / 2) / width:.6f} '
                    f'{(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}'
                )
            source = coco / 'images' / image['file_name']
            shutil.copy(source, folder / f'voc/JPEGImages/{stem}.jpg')
            shutil.copy(source, folder / f'yolo/images/{split}/{stem}.jpg')
            (folder / f'voc/Annotations/{stem}.xml').write_text(
                f'<annotation><size><width>{width}</width><height>{height}</height>'
                f'</size>{objects}</annotation>'
            )
            (folder / f'yolo/labels/{split}/{stem}.txt').write_text('\n'.join(lines))
        (folder / f'voc/ImageSets/Main/{split}.txt').write_text('\n'.join(stems))
    (folder / 'yolo/data.yaml').write_text(
        f'train: images/train\nval: images/val\nnames: [{", ".join(order)}]\n'
    )


@pytest.fixture(scope='session')
def forms(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The Shapes as coco, voc, yolo, maps (segmentation) and folders (classes)."""
    root = tmp_path_factory.mktemp('forms')
    (root / 'coco/images').mkdir(parents=True)
    for split in ('train', 'val'):
        source = shapes / f'coco/annotations/instances_{split}2017.json'
        content = json.loads(source.read_text())
        for image in content['images']:
            picture = shapes / f'coco/{split}2017' / image['file_name']
            image['file_name'] = f'{split}_{image["file_name"]}'
            shutil.copy(picture, root / 'coco/images' / image['file_name'])
        (root / f'coco/{split}.json').write_text(json.dumps(content))
    write_voc_and_yolo(root / 'coco', root)
    for ours, theirs in (('train', 'training'), ('val', 'validation')):
        for kind, name in (('images', 'img_dir'), ('annotations', 'ann_dir')):
            shutil.copytree(
                shapes / 'ade/ADEChallengeData2016' / kind / theirs,
                root / 'maps' / name / ours,
            )
    (root / 'maps/classes.txt').write_text('none\n' + '\n'.join('abcdefgh'))
    for split in ('train', 'val'):
        shutil.copytree(shapes / 'imagenet' / split, root / 'folders' / split)
    return root


@pytest.fixture
def own(forms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all forms that a test may break; it is the current folder, too."""
    shutil.copytree(forms, tmp_path / 'data')
    monkeypatch.chdir(tmp_path / 'data')
    assert os.getcwd() == str(tmp_path / 'data')
    return tmp_path / 'data'
