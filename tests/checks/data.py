"""Small datasets of the three toolboxes, and configs that read them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmghost.checks import Problem, preflight

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
NAMES = ('cat', 'dog')


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (40, 50)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def coco_content(count: int = 4) -> dict[str, list]:
    """Return images of 50x40 px with a cat at the top left and a dog at the bottom right."""
    return dict(
        images=[
            dict(id=i, file_name=f'{i}.jpg', width=50, height=40) for i in range(count)
        ],
        categories=[dict(id=3, name='cat'), dict(id=5, name='dog')],
        annotations=[
            dict(
                id=2 * i + j, image_id=i, category_id=(3, 5)[j], area=200, iscrowd=0,
                bbox=[(5, 25)[j], (5, 20)[j], 20, 10],
            )
            for i in range(count) for j in (0, 1)
        ],
    )  # fmt: skip


def coco(root: Path, edit: Callable[[dict], Any] = lambda content: None) -> Config:
    """Write a COCO dataset; ``edit`` spoils the annotations of train."""
    for split in ('train', 'val'):
        content = coco_content()
        for image in content['images']:
            write_image(root / split / image['file_name'], image['id'])
        if split == 'train':
            edit(content)
        (root / f'{split}.json').write_text(json.dumps(content))
    dataset = dict(
        type='CocoDataset', data_root=str(root), metainfo=dict(classes=NAMES), pipeline=LOAD
    )  # fmt: skip
    return config(
        'mmdet',
        dict(bbox_head=dict(num_classes=2)),
        dict(dataset, ann_file='train.json', data_prefix=dict(img='train')),
        dict(dataset, ann_file='val.json', data_prefix=dict(img='val'), test_mode=True),
        dict(type='CocoMetric', ann_file=str(root / 'val.json')),
    )


def segmentation(root: Path, classes: tuple[str, ...] = NAMES, **settings) -> Config:
    """Write a dataset of mmseg, each label map with all classes and the ignored value."""
    values = np.resize([*range(len(classes)), 255], (40, 50)).astype(np.uint8)
    for split in ('train', 'val'):
        for i in range(4):
            write_image(root / 'images' / split / f'{i}.jpg', i)
            path = root / 'labels' / split / f'{i}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    return segmentation_config(root, classes, **settings)


def segmentation_config(
    root: Path, classes=NAMES, images='images', labels='labels', **settings
) -> Config:
    parts = [
        dict(
            type='BaseSegDataset',
            data_root=str(root),
            data_prefix=dict(
                img_path=f'{images}/{split}', seg_map_path=f'{labels}/{split}'
            ),
            metainfo=dict(classes=classes) if classes else None,
            pipeline=LOAD,
            **settings,
        )
        for split in ('train', 'val')
    ]
    head = dict(decode_head=dict(num_classes=len(classes or NAMES)))
    return config('mmseg', head, *parts, dict(type='IoUMetric'))


def folders(root: Path, classes: tuple[str, ...] | None = None, **settings) -> Config:
    """Write a dataset of mmpretrain, one folder for each class."""
    for split in ('train', 'val'):
        for name in NAMES:
            for i in range(3):
                write_image(root / split / name / f'{i}.jpg', i)
    return folders_config(root, classes, **settings)


def folders_config(root: Path, classes=None, count: int = 2, **settings) -> Config:
    parts = [
        dict(
            type='CustomDataset',
            data_root=str(root),
            data_prefix=split,
            metainfo=dict(classes=classes) if classes else None,
            pipeline=LOAD[:1],
            test_mode=split == 'val',
            **settings,
        )
        for split in ('train', 'val')
    ]
    head = dict(head=dict(num_classes=count))
    return config('mmpretrain', head, *parts, dict(type='Accuracy'))


def config(scope: str, model: dict, train: dict, val: dict, evaluator: dict) -> Config:
    return Config(
        dict(
            default_scope=scope,
            model=dict(type='Any', **model),
            train_dataloader=dict(dataset=train),
            val_dataloader=dict(dataset=val),
            val_evaluator=evaluator,
        )
    )


def found(cfg: Config, loaders=('train', 'val'), **options) -> list[Problem]:
    """Return what the preflight check finds."""
    return preflight(cfg, loaders, note=lambda line: None, **options)


def only(cfg: Config, loaders=('train', 'val'), **options) -> Problem:
    """Return the one problem that there is: no second message repeats it."""
    problems = found(cfg, loaders, **options)
    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]


def case(realdata: Path, name: str, target: Path) -> Path:
    """Copy one of the public reports, which lie beside the real data."""
    return Path(shutil.copytree(realdata.parent / 'cases' / name, target / name))
