"""Small datasets of the three toolboxes, and configs that read them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmghost.checks import Problem, preflight

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
NAMES = ('cat', 'dog')
SPLITS = ('train', 'val')


def write_image(path: Path, seed: int = 0) -> Path:
    """Write an image of 50x40 px of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def config(scope: str, head: dict, datasets: list[dict], evaluator: dict) -> Config:
    loaders = {f'{s}_dataloader': dict(dataset=d) for s, d in zip(SPLITS, datasets)}
    model = dict(type='Any', **head)
    return Config(
        dict(default_scope=scope, model=model, val_evaluator=evaluator, **loaders)
    )


def coco_content(count: int = 4) -> dict[str, list]:
    """Return images with a cat at the top left and a dog at the bottom right."""
    boxes = ([5, 5, 20, 10], [25, 20, 20, 10])
    return dict(
        images=[dict(id=i, file_name=f'{i}.jpg', width=50, height=40) for i in range(count)],
        categories=[dict(id=3, name='cat'), dict(id=5, name='dog')],
        annotations=[
            dict(id=2 * i + j, image_id=i, category_id=(3, 5)[j], bbox=boxes[j],
                 area=200, iscrowd=0)
            for i in range(count) for j in (0, 1)
        ],
    )  # fmt: skip


def coco(root: Path, edit: Callable[[dict], Any] = lambda content: None) -> Config:
    """Write a COCO dataset; ``edit`` spoils the annotations of train."""
    for split in SPLITS:
        content = coco_content()
        for image in content['images']:
            write_image(root / split / image['file_name'], image['id'])
        if split == 'train':
            edit(content)
        (root / f'{split}.json').write_text(json.dumps(content))
    return coco_config(root, NAMES, SPLITS)


def coco_config(root: Path, classes: Any, images: tuple[str, str]) -> Config:
    common = dict(
        type='CocoDataset', data_root=str(root), metainfo=dict(classes=classes)
    )
    datasets = [
        dict(common, ann_file=f'{s}.json', data_prefix=dict(img=folder), pipeline=LOAD,
             test_mode=s == 'val')
        for s, folder in zip(SPLITS, images)
    ]  # fmt: skip
    evaluator = dict(type='CocoMetric', ann_file=str(root / 'val.json'))
    head = dict(bbox_head=dict(num_classes=len(classes)))
    return config('mmdet', head, datasets, evaluator)


def segmentation(root: Path, classes: tuple[str, ...] = NAMES, **settings) -> Config:
    """Write a dataset of mmseg, each label map with all classes and the ignored value."""
    values = np.resize([*range(len(classes)), 255], (40, 50)).astype(np.uint8)
    for split in SPLITS:
        (root / 'labels' / split).mkdir(parents=True, exist_ok=True)
        for i in range(4):
            write_image(root / 'images' / split / f'{i}.jpg', i)
            Image.fromarray(values).save(root / 'labels' / split / f'{i}.png')
    return segmentation_config(root, classes, **settings)


def segmentation_config(
    root: Path, classes=NAMES, images='images', labels='labels', **settings
) -> Config:
    settings |= dict(type='BaseSegDataset', data_root=str(root), pipeline=LOAD)
    settings |= dict(metainfo=dict(classes=classes)) if classes else {}
    prefixes = [
        dict(img_path=f'{images}/{s}', seg_map_path=f'{labels}/{s}') for s in SPLITS
    ]
    datasets = [dict(settings, data_prefix=prefix) for prefix in prefixes]
    head = dict(decode_head=dict(num_classes=len(classes or NAMES)))
    return config('mmseg', head, datasets, dict(type='IoUMetric'))


def folders(root: Path, classes: tuple[str, ...] | None = None) -> Config:
    """Write a dataset of mmpretrain, one folder for each class."""
    for path in (root / split / name for split in SPLITS for name in NAMES):
        for i in range(3):
            write_image(path / f'{i}.jpg', i)
    return folders_config(root, classes)


def folders_config(root: Path, classes=None, count: int = 2) -> Config:
    settings = dict(type='CustomDataset', data_root=str(root), pipeline=LOAD[:1])
    settings |= dict(metainfo=dict(classes=classes)) if classes else {}
    datasets = [dict(settings, data_prefix=s, test_mode=s == 'val') for s in SPLITS]
    head = dict(head=dict(num_classes=count))
    return config('mmpretrain', head, datasets, dict(type='Accuracy'))


def found(cfg: Config, loaders=SPLITS, **options) -> list[Problem]:
    """Return what the preflight check finds."""
    return preflight(cfg, loaders, note=lambda line: None, **options)


def only(cfg: Config, loaders=SPLITS, **options) -> Problem:
    """Return the one problem that there is: no second message repeats it."""
    problems = found(cfg, loaders, **options)
    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]
