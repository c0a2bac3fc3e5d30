"""Shapes in the layouts of COCO, ADE20K and ImageNet: which files, and what is in them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from .arguments import parse_objects, parse_sizes, whole_number
from .classes import Look, parse_classes
from .files import share, write, write_json, write_lines
from .picture import DRAWING_VERSION, SPLITS, Instance, draw_picture, draw_single

LAYOUTS = ('coco', 'ade', 'imagenet')
ORIGINALS = {'coco': 80, 'ade': 150, 'imagenet': 1000}  # their numbers of classes

MOST_PICTURES = 999_999  # a split; COCO's val pictures are numbered from a million on
MOST_ADE_CLASSES = 255  # a label map has one byte a pixel, and 0 is the background
JPEG_QUALITY = 95

COCO_SPLITS = {'train': 'train2017', 'val': 'val2017'}
ADE_ROOT = 'ade/ADEChallengeData2016'
ADE_SPLITS = {'train': 'training', 'val': 'validation'}


@dataclass(frozen=True)
class Job:
    """One picture: a scene for COCO's layout, ADE20K's or both, or a single shape.

    Attributes:
        layouts: The layouts that it is for.
        split: ``'train'`` or ``'val'``.
        index: Its number within the split, and within the class if it has a label.
        label: Class of the single shape.
    """

    layouts: tuple[str, ...]
    split: str
    index: int
    label: int | None = None


@dataclass(frozen=True)
class Plan:
    """The checked arguments that decide which files there are and what is in them.

    ``classes`` is None where every layout has as many as the original.
    """

    train: int
    val: int
    size: tuple[int, int]
    max_size: tuple[int, int]
    classes: tuple[str, ...] | None
    objects: tuple[int, int]
    seed: int
    only: tuple[str, ...]
    drawing_version: int = DRAWING_VERSION

    @classmethod
    def of(
        cls,
        *,
        train: int,
        val: int,
        size: int | Sequence[int],
        max_size: int | Sequence[int] | None,
        classes: int | Sequence[str] | None,
        objects: int | Sequence[int],
        seed: int,
        only: str | Sequence[str] | None,
    ) -> 'Plan':
        """Check the arguments of :func:`~mmghost.datasets.shapes.make_shapes`."""
        low, high = parse_sizes(size, max_size)
        layouts = parse_layouts(only)
        names = None
        if classes is not None:
            names = tuple(look.name for look in parse_classes(classes))
            if 'ade' in layouts and len(names) > MOST_ADE_CLASSES:
                raise ValueError(
                    f"classes: {len(names)} are too many for ADE20K's label maps, "
                    f'which hold {MOST_ADE_CLASSES}; take fewer, or only coco and '
                    'imagenet'
                )
        return cls(
            train=whole_number('train', train, 1, MOST_PICTURES),
            val=whole_number('val', val, 1, MOST_PICTURES),
            size=low,
            max_size=high,
            classes=names,
            objects=parse_objects(objects),
            seed=whole_number('seed', seed, 0, 2**32 - 1),
            only=layouts,
        )

    @classmethod
    def from_json(cls, values: dict) -> 'Plan':
        """Read what :meth:`to_json` gave, checking it as arguments are checked."""
        values = dict(values)
        version = whole_number('version', values.pop('drawing_version'), 0, 10**6)
        return replace(cls.of(**values), drawing_version=version)

    def to_json(self) -> dict:
        """The plan in JSON's types."""
        return asdict(self)

    def looks(self, layout: str) -> tuple[Look, ...]:
        """The classes of a layout."""
        return _looks(self.classes or ORIGINALS[layout])

    def pictures(self, layout: str, split: str) -> int:
        """Number of pictures of a layout's split."""
        count = getattr(self, split)
        if layout != 'imagenet':
            return count
        classes = len(self.looks(layout))
        return -(-count // classes) * classes  # equally many of each class

    def jobs(self) -> Iterator[Job]:
        """The pictures to draw, each once."""
        scenes = tuple(name for name in self.only if name != 'imagenet')
        # The same classes mean the same pictures.
        groups = [scenes] if self.classes else [(name,) for name in scenes]
        for split in SPLITS:
            for group in filter(None, groups):
                for index in range(getattr(self, split)):
                    yield Job(group, split, index)
            if 'imagenet' in self.only:
                yield from self.single_jobs(split)

    def single_jobs(self, split: str) -> Iterator[Job]:
        """The pictures of ImageNet's layout, class by class."""
        classes = len(self.looks('imagenet'))
        for label in range(classes):
            for index in range(self.pictures('imagenet', split) // classes):
                yield Job(('imagenet',), split, index, label)

    def files(self) -> Iterator[str]:
        """All files of the layouts, relative to the data set's folder."""
        for job in self.jobs():
            yield from self.picture_files(job).values()
        if 'coco' in self.only:
            yield from (_coco_list_file(split) for split in SPLITS)
        if 'imagenet' in self.only:
            yield from (_meta_file(name) for name in (*SPLITS, 'classes'))

    def picture_files(self, job: Job) -> dict[str, str]:
        """The files of a picture by layout, and its label map as ``map``."""
        files = {}
        if 'coco' in job.layouts:
            files['coco'] = f'coco/{COCO_SPLITS[job.split]}/{_coco_id(job):012d}.jpg'
        if 'ade' in job.layouts:
            split, name = ADE_SPLITS[job.split], f'ADE_{job.split}_{job.index + 1:08d}'
            files['ade'] = f'{ADE_ROOT}/images/{split}/{name}.jpg'
            files['map'] = f'{ADE_ROOT}/annotations/{split}/{name}.png'
        if 'imagenet' in job.layouts:
            files['imagenet'] = f'imagenet/{job.split}/{self._single_name(job)}'
        return files

    def _single_name(self, job: Job) -> str:
        # The originals' folders have WordNet's ids, which sort as the labels do.
        look = self.looks('imagenet')[job.label]
        folder = look.name if self.classes else f'n{job.label:08d}'
        return f'{folder}/{job.index + 1:06d}.jpg'


def parse_layouts(only: str | Sequence[str] | None) -> tuple[str, ...]:
    """Turn one layout, several, or None for all into a tuple.

    Raises:
        ValueError: If there is none or an unknown one among them.
    """
    if only is None:
        return LAYOUTS
    names = [only] if isinstance(only, str) else only
    if not isinstance(names, (list, tuple)) or not names or set(names) - set(LAYOUTS):
        raise ValueError(f'only={only!r}: one or more of {", ".join(LAYOUTS)} fit')
    return tuple(name for name in LAYOUTS if name in names)


def write_picture(out: Path, plan: Plan, job: Job) -> dict | None:
    """Draw a picture and write its files.

    Args:
        out: The data set's folder.
        plan: What is to be written.
        job: The picture.

    Returns:
        Its entry for :func:`write_lists`: COCO's ``image`` and ``annotations``, whose
        ``category_id`` is the label still. None if it is not in COCO's layout.
    """
    layout = job.layouts[0]
    look = dict(size=plan.size, max_size=plan.max_size, classes=plan.looks(layout))
    if job.label is None:
        picture = draw_picture(
            plan.seed, job.split, job.index, objects=plan.objects, **look
        )
    else:
        picture = draw_single(plan.seed, job.split, job.index, job.label, **look)

    files = {name: out / file for name, file in plan.picture_files(job).items()}
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    write(files[layout], cv2.imencode('.jpg', picture.image, options)[1].tobytes())
    if 'map' in files:
        write(files['map'], cv2.imencode('.png', picture.semantic)[1].tobytes())
    if layout != 'coco':
        return None
    if 'ade' in files:
        share(files['coco'], files['ade'])
    height, width = picture.image.shape[:2]
    image = dict(
        id=_coco_id(job),
        file_name=files['coco'].name,
        height=height,
        width=width,
        license=1,
    )
    return dict(image=image, annotations=[_annotation(i) for i in picture.instances])


def write_lists(out: Path, plan: Plan, scenes: dict[str, list[dict]]) -> None:
    """Write what lists the pictures: COCO's annotations and ImageNet's meta.

    Args:
        out: The data set's folder.
        plan: What is to be written.
        scenes: What :func:`write_picture` returned, by split.
    """
    if 'coco' in plan.only:
        for split in SPLITS:
            write_json(out / _coco_list_file(split), _coco_list(plan, scenes[split]))
    if 'imagenet' in plan.only:
        for split in SPLITS:
            lines = [
                f'{plan._single_name(j)} {j.label}' for j in plan.single_jobs(split)
            ]
            write_lines(out / _meta_file(split), lines)
        names = [look.name for look in plan.looks('imagenet')]
        write_lines(out / _meta_file('classes'), names)


@cache
def _looks(classes: int | tuple[str, ...]) -> tuple[Look, ...]:
    return parse_classes(classes)


def _coco_list_file(split: str) -> str:
    return f'coco/annotations/instances_{COCO_SPLITS[split]}.json'


def _meta_file(name: str) -> str:
    return f'imagenet/meta/{name}.txt'


def _coco_id(job: Job) -> int:
    """COCO's number of a picture, which no picture of the other split has."""
    return job.index + 1 + (0 if job.split == 'train' else MOST_PICTURES + 1)


def _annotation(instance: Instance) -> dict:
    return dict(
        category_id=instance.label,
        bbox=list(instance.bbox),
        area=instance.area,
        iscrowd=0,
        segmentation=dict(
            size=list(instance.mask.shape), counts=_run_lengths(instance.mask)
        ),
    )


def _run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed RLE: lengths of runs of 0 and 1 in turn, column by column."""
    pixels = mask.ravel(order='F')
    starts = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    counts = np.diff(np.concatenate([[0], starts, [pixels.size]])).tolist()
    return [0, *counts] if pixels[0] else counts  # the first run is one of zeros


def _coco_list(plan: Plan, scenes: list[dict]) -> dict:
    categories = _coco_categories(plan)
    annotations = [
        {**annotation, 'image_id': scene['image']['id']}
        for scene in scenes
        for annotation in scene['annotations']
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation['id'] = number
        annotation['category_id'] = categories[annotation['category_id']]['id']
    return dict(
        info=dict(
            description='Shapes, generated by mmghost (make_shapes)',
            version=str(plan.drawing_version),
        ),
        licenses=[
            dict(
                id=1,
                name='CC0-1.0',
                url='https://creativecommons.org/publicdomain/zero/1.0/',
            )
        ],
        categories=categories,
        images=[scene['image'] for scene in scenes],
        annotations=annotations,
    )


def _coco_categories(plan: Plan) -> list[dict]:
    """COCO's categories in the order of the labels."""
    looks = plan.looks('coco')
    if plan.classes:
        return [
            dict(id=number, name=look.name, supercategory=look.kind)
            for number, look in enumerate(looks, start=1)
        ]
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    # A name's place is COCO's id; at ids that COCO does not use stands 'N/A'.
    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta['categories']
    ids = [i for i, name in enumerate(names) if name not in ('__background__', 'N/A')]
    return [
        dict(id=i, name=names[i], supercategory=look.name)
        for i, look in zip(ids, looks)
    ]
