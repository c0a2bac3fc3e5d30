"""Write Shapes in the layouts of COCO, ADE20K and ImageNet."""

import itertools
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from .classes import parse_classes
from .drawing import MOST_SHAPES, SPLITS, Instance, draw_image

LAYOUTS = {'coco': 80, 'ade': 150, 'imagenet': 1000}  # classes of the originals
MANIFEST = 'shapes.json'
VERSION = 2  # of the drawing; raised when the same arguments give other images
VAL_IDS = 1_000_000  # where the image ids of COCO's validation part begin


@dataclass(frozen=True)
class ShapesSet:
    """What :func:`make_shapes` wrote or found."""

    out: Path  # folder of the layouts
    made: bool  # False if the same dataset was there already
    classes: dict[str, tuple[str, ...]]  # by layout, in the order of their labels
    images: dict[str, dict[str, int]]  # number of images by layout and split
    instances: dict[str, int]  # number of shapes in COCO's layout by split


def make_shapes(
    out: str | os.PathLike,
    train: int = 1000,
    val: int = 100,
    size: int = 192,
    classes: int | Sequence[str] = 8,
    seed: int = 0,
    only: str | Sequence[str] | None = None,
    like_originals: bool = False,
    workers: int = 1,
    progress: bool = True,
    objects: Sequence[int] = (1, MOST_SHAPES),
    overwrite: bool = False,
) -> ShapesSet:
    """Write the Shapes dataset, generated images for detection and classification.

    ``coco`` has boxes and masks (RLE, since polygons have no holes);
    ``ade/ADEChallengeData2016`` the same images with label maps, in which 0 is the
    background and the classes begin at 1; ``imagenet`` images of one shape in class
    folders, equally many of each class, listed in ``meta``. A complete dataset of the same
    arguments is left alone, an interrupted one is made again.

    Args:
        out: Folder to write to.
        train: Number of training images.
        val: Number of validation images.
        size: Side of the images in px.
        classes: Number or names, see :func:`~mmghost.datasets.shapes.parse_classes`.
        seed: Other seeds give other images.
        only: Layouts to write, of ``coco``, ``ade`` and ``imagenet``. Default: all.
        like_originals: Take as many classes as the originals have, whatever ``classes``
            says: COCO's 80 with their ids and names, ADE20K's 150, ImageNet's 1000.
        workers: Number of threads that draw.
        progress: Show a progress bar.
        objects: Smallest and largest number of shapes in an image, or one for both.
        overwrite: Replace Shapes that were made with other arguments.

    Returns:
        What is there now.

    Raises:
        ValueError: If an argument is out of range.
        FileExistsError: If ``out`` holds Shapes made with other arguments, unless
            ``overwrite``, or folders that this function did not make.
    """
    out = Path(out)
    layouts = [only] if isinstance(only, str) else list(only or LAYOUTS)
    if set(layouts) - set(LAYOUTS):
        raise ValueError(f'only={only}: must be among {", ".join(LAYOUTS)}')
    names = {
        layout: parse_classes(count if like_originals else classes)
        for layout, count in LAYOUTS.items()
        if layout in layouts
    }
    if min(train, val) < 1 or not 32 <= size <= 8192:
        raise ValueError(
            f'train={train}, val={val}: must be positive; size={size}: 32 to 8192 px'
        )
    least, most = min(objects), max(objects)
    if not 1 <= least <= most <= 50 or len(objects) > 2:
        raise ValueError(f'objects={objects}: one or two numbers from 1 to 50')
    if len(names.get('ade', ())) > 255:
        raise ValueError('classes: label maps of ADE20K hold 255 classes at most')
    counts = {layout: dict(train=train, val=val) for layout in names}
    if 'imagenet' in names:  # equally many of each class
        per = len(names['imagenet'])
        counts['imagenet'] = dict(
            train=-(-train // per) * per, val=-(-val // per) * per
        )
    plan = dict(counts=counts, classes=names, size=size, seed=seed, version=VERSION)
    plan['objects'] = [least, most]
    found = _look(out, plan, overwrite)
    if found is not None:
        return ShapesSet(out, False, names, counts, found)

    jobs = [
        (layout, split, number)
        for layout in names
        for split in SPLITS
        for number in range(counts[layout][split])
    ]
    draw = partial(_write_image, out, seed, size, names, (least, most))
    with ThreadPoolExecutor(workers) as pool:
        drawn = track(pool.map(draw, jobs), 'Shapes', len(jobs), disable=not progress)
        entries = list(zip(jobs, drawn))
    instances = {}
    for layout, split in itertools.product(names, SPLITS):
        listed = [entry for job, entry in entries if job[:2] == (layout, split)]
        if layout == 'coco':
            content = _coco_json(names['coco'], listed, like_originals)
            instances[split] = len(content['annotations'])
            path = out / f'coco/annotations/instances_{split}2017.json'
            _write(path, json.dumps(content, separators=(',', ':')))
        if layout == 'imagenet':
            _write(out / f'imagenet/meta/{split}.txt', ''.join(listed))
            _write(out / 'imagenet/meta/classes.txt', '\n'.join(names[layout]) + '\n')
    _write(out / MANIFEST, json.dumps(dict(plan=plan, instances=instances)))
    return ShapesSet(out, True, names, counts, instances)


def _look(out: Path, plan: dict[str, Any], overwrite: bool) -> dict[str, int] | None:
    """Return the counts of instances if the dataset is complete; None if it is to make."""
    path, made = out / MANIFEST, {}
    if path.exists():
        manifest = json.loads(path.read_text(encoding='utf-8'))
        if manifest.get('plan') == json.loads(json.dumps(plan)):
            return manifest.get('instances')
        if not overwrite:
            raise FileExistsError(
                f'{out} holds Shapes made with other arguments: --overwrite replaces it'
            )
        made = manifest.get('plan', {}).get('classes', {})
    for name in plan['classes'].keys() - made:
        if (out / name).exists():
            what = 'exists, and make_shapes did not make it'
            raise FileExistsError(f'{out / name} {what}')
    for layout in made:
        shutil.rmtree(out / layout, ignore_errors=True)
    _write(path, json.dumps(dict(plan=plan)))  # without `instances`: not complete
    return None


def _write_image(
    out: Path,
    seed: int,
    size: int,
    names: dict,
    objects: tuple[int, int],
    job: tuple[str, str, int],
) -> dict | str | None:
    """Write the files of an image; return its entry for the lists of its layout."""
    layout, split, number = job
    index, label = number, None
    if layout == 'imagenet':
        index, label = divmod(number, len(names[layout]))
    drawing = draw_image(seed, split, index, size, names[layout], label, objects)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    jpeg = cv2.imencode('.jpg', drawing.image, quality)[1].tobytes()
    if layout == 'imagenet':
        # ImageNet's own folders have WordNet ids, which sort as the labels do.
        own = len(names[layout]) == LAYOUTS['imagenet']
        name = f'{f"n{label:08d}" if own else names[layout][label]}/{index + 1:06d}.jpg'
        _write(out / 'imagenet' / split / name, jpeg)
        return f'{name} {label}\n'
    if layout == 'ade':
        part = dict(train='training', val='validation')[split]
        root, name = out / 'ade/ADEChallengeData2016', f'ADE_{split}_{index + 1:08d}'
        label_map = cv2.imencode('.png', drawing.semantic)[1].tobytes()
        _write(root / f'images/{part}/{name}.jpg', jpeg)
        _write(root / f'annotations/{part}/{name}.png', label_map)
        return None
    number = index + 1 + VAL_IDS * (split == 'val')
    name = f'{number:012d}.jpg'
    _write(out / f'coco/{split}2017' / name, jpeg)
    image = dict(id=number, file_name=name, height=size, width=size, license=1)
    return dict(
        image=image, annotations=[_annotation(i, number) for i in drawing.instances]
    )


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _annotation(instance: Instance, image_id: int) -> dict[str, Any]:
    from pycocotools import mask as mask_api

    rle = mask_api.encode(np.asfortranarray(instance.mask.view(np.uint8)))
    return dict(
        image_id=image_id,
        category_id=instance.label,
        bbox=list(instance.bbox),
        area=int(instance.mask.sum()),
        iscrowd=0,
        segmentation=dict(size=rle['size'], counts=rle['counts'].decode('ascii')),
    )


def _coco_json(names: Sequence[str], scenes: list[dict], original: bool) -> dict:
    ids = range(1, len(names) + 1)
    categories = [dict(id=i, name=n, supercategory='shape') for i, n in zip(ids, names)]
    if original:
        from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

        # The place of a name is COCO's id; ids that COCO does not use have 'N/A'.
        known = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta['categories']
        used = [
            i for i, name in enumerate(known) if name not in ('__background__', 'N/A')
        ]
        for category, i in zip(categories, used):
            category.update(id=i, name=known[i], supercategory=category['name'])
    annotations = [entry for scene in scenes for entry in scene['annotations']]
    for number, entry in enumerate(annotations, start=1):
        entry.update(id=number, category_id=categories[entry['category_id']]['id'])
    url = 'https://creativecommons.org/publicdomain/zero/1.0/'
    return dict(
        info=dict(description='Shapes, generated by mmghost', version=str(VERSION)),
        licenses=[dict(id=1, name='CC0-1.0', url=url)],
        categories=categories,
        images=[scene['image'] for scene in scenes],
        annotations=annotations,
    )
