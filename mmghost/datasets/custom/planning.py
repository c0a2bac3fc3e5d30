"""Input size, batch, epochs and anchors for the data and the machine."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

# Iterations of a first training by `light`: some minutes on two CPU cores with light
# heads, about an hour on a GPU. Epochs follow, within limits.
_ITERATIONS = {True: 240, False: 6000}
_EPOCHS = {True: (4, 30), False: (12, 150)}
_BASE_SIZE = {True: 320, False: 1024}  # px; up to twice as large for small objects
_SMALL = 12.0  # px; boxes of half this side fall between two anchors
_GB_PER_MEGAPIXEL = 2.0  # of GPU memory in float32 training, with a margin

_GOOD = 0.5  # IoU with an anchor from which a box is well matched
_WORTH = 0.05  # what other anchors must gain to be written down
# Cells of a feature map that the side of an object covers from where more are no gain.
# On coarser maps objects are found worse: docs/results.md compares four for nuclei.
_CELLS = 3
_SCALES = (1, 1.5, 2, 3, 4, 6, 8, 12, 16)
_RATIOS = (0.5, 1.0, 2.0)


class Machine(NamedTuple):
    """What a training runs on; ``memory`` is that of one GPU in GB."""

    gpus: int
    memory: float
    cores: int

    def __str__(self) -> str:
        """Return it as text."""
        gpus = f'{self.gpus} GPU{"s" * (self.gpus > 1)} of {self.memory:.0f} GB'
        cores = f'{self.cores} CPU cores'
        return f'{gpus}, {cores}' if self.gpus else f'{cores}, no GPU'

    @classmethod
    def this(cls) -> 'Machine':
        """Return the machine that this runs on."""
        affinity = getattr(os, 'sched_getaffinity', None)  # Linux alone has it
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        if not torch.cuda.is_available():
            return cls(0, 0.0, cores)
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return cls(torch.cuda.device_count(), memory, cores)


class Choices(NamedTuple):
    """What the user chooses instead of the data and the machine; None leaves it to them.

    ``weights`` is what the backbone starts from: a path or URL, ``'none'`` for random
    weights, None for the authors' ImageNet weights. Values in label maps are numbers,
    ``'7'``, or colors, ``'64,128,64'``.
    """

    model: str | None = None
    width: float = 1.0
    weights: str | None = None
    light: bool | None = None  # heads
    size: int | None = None  # longer side of the input in px
    batch: int | None = None
    epochs: int | None = None
    keep_empty: bool = False  # train on images without objects, too
    map_suffix: str | None = None  # end of the label maps' names
    label_values: Sequence[str] = ()  # of each class
    ignore_label: Sequence[str] = ()  # of what is no class


class Plan(NamedTuple):
    """How to train."""

    light: bool  # with the light heads, for machines without a GPU
    size: int  # longer side of the images in px (segmentation: side of the crops)
    batch: int  # images in a step
    epochs: int
    per_epoch: int  # steps
    workers: int  # processes that load images

    @property
    def warm_up(self) -> int:
        """Steps of the warm-up; 0 means none.

        At most an epoch, so that it also ends when the user changes the number of epochs,
        and at least 2: mmengine's LinearLR never leaves ``start_factor`` in a single one.
        """
        steps = min(50, self.epochs * self.per_epoch // 10, self.per_epoch)
        return steps if steps >= 2 else 0


class Objects(NamedTuple):
    """The objects of a dataset in numbers."""

    sizes: np.ndarray  # widths and heights of the images in px, (N, 2)
    boxes: np.ndarray  # widths and heights of the boxes in px, (M, 2)
    image_of: np.ndarray  # index of the image of each box, (M,)
    counts: Counter  # objects by class

    @classmethod
    def of(cls, content: dict[str, list], classes: Sequence[str]) -> 'Objects':
        """Count the objects of some classes in a COCO JSON, without crowds."""
        index = {image['id']: i for i, image in enumerate(content['images'])}
        names = {entry['id']: entry['name'] for entry in content['categories']}
        found = [
            (*entry['bbox'][2:], index[entry['image_id']], names[entry['category_id']])
            for entry in content['annotations']
            if not entry.get('iscrowd') and min(entry['bbox'][2:]) >= 1
        ]
        found = [row for row in found if row[3] in classes]
        sizes = [(image['width'], image['height']) for image in content['images']]
        return cls(
            np.array(sizes, float).reshape(-1, 2),
            np.array([row[:2] for row in found], float).reshape(-1, 2),
            np.array([row[2] for row in found], int),
            Counter(row[3] for row in found),
        )

    @property
    def most(self) -> int:
        """Number of objects in the fullest image."""
        return int(np.bincount(self.image_of).max()) if len(self.boxes) else 0

    def boxes_at(self, size: int) -> np.ndarray:
        """Return the boxes of images whose longer side is ``size`` px, (M, 2)."""
        return self.boxes * (size / self.sizes.max(1))[self.image_of, None]


def usual_side(sides: Sequence[float]) -> int:
    """Return the side that nine of ten images do not exceed, in px."""
    return round(float(np.quantile(sides, 0.9)))


def make_plan(
    choices: Choices,
    machine: Machine,
    images: int,
    longest_side: int,
    largest_batch: int,
    objects: Objects | None = None,
    base_size: int | None = None,
) -> Plan:
    """Plan a training.

    Args:
        choices: What the user chooses.
        machine: What it runs on.
        images: Number of training images.
        longest_side: Longer side of nearly all of them in px.
        largest_batch: The largest batch of the task's recipe on one GPU, or on the CPU.
        objects: Boxes; small ones need a larger input.
        base_size: Usual input size of the task in px; default: that of detection.
    """
    light = machine.gpus == 0 if choices.light is None else choices.light
    size = choices.size or fitting_size(
        longest_side, base_size or _BASE_SIZE[light], objects
    )
    batch = choices.batch
    if batch is None:
        batch = min(largest_batch, power_of_two(images / 4))  # some steps in each epoch
        if machine.gpus:
            image_gb = _GB_PER_MEGAPIXEL * size**2 / 1e6
            batch = min(batch, power_of_two(0.8 * machine.memory / image_gb))
    epochs = choices.epochs
    if epochs is None:
        least, most = _EPOCHS[light]
        epochs = min(max(math.ceil(_ITERATIONS[light] * batch / images), least), most)
    workers = max(1, min(4, machine.cores // 2))
    return Plan(light, size, batch, epochs, max(1, math.ceil(images / batch)), workers)


def fitting_size(longest_side: int, base: int, objects: Objects | None = None) -> int:
    """Return an input size in px, a multiple of 32.

    It is that of the images up to a usual one, larger for small objects.
    """
    own = max(64, math.ceil(longest_side / 32) * 32)
    size = min(own, base)
    if objects is not None and len(objects.boxes):
        side = float(np.median(np.sqrt(objects.boxes_at(size).prod(1))))
        if side < _SMALL:
            size = min(own, 2 * base, math.ceil(size * _SMALL / side / 32) * 32)
    return size


def power_of_two(value: float) -> int:
    """Return the largest power of two up to a value, at least 1."""
    return 2 ** max(0, math.floor(math.log2(max(1.0, value))))


def shape_iou(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the IoU (M, K) of widths and heights (M, 2) and (K, 2) at one place."""
    inter = np.minimum(boxes[:, None], anchors[None]).prod(-1)
    return inter / (boxes.prod(-1)[:, None] + anchors.prod(-1)[None] - inter)


def matched(boxes: np.ndarray, anchors: np.ndarray) -> float:
    """Return the share of boxes that have an anchor of nearly their shape."""
    return float((shape_iou(boxes, anchors).max(1) >= _GOOD).mean())


def fit_anchors(model: dict[str, Any], boxes: np.ndarray) -> dict[str, Any]:
    """Find anchors for boxes if those of a detector fit clearly worse.

    Args:
        model: Config of the detector.
        boxes: Widths and heights at the input size in px, (M, 2).

    Returns:
        Values for the template; ``anchors`` is a line for the user.
    """
    generator = (model.get('rpn_head') or model['bbox_head'])['anchor_generator']
    if generator['type'] == 'YOLOAnchorGenerator' and len(boxes) >= 9:
        sizes = [tuple(map(round, box)) for box in cluster(boxes).tolist()]
        share = f'{matched(boxes, np.array(sizes, float)):.0%}'
        words = f'Anchors are clustered from the boxes and match {share} of them.'
        return dict(base_sizes=[sizes[6:], sizes[3:6], sizes[:3]], anchors=words)
    if generator['type'] != 'AnchorGenerator':
        return {}
    strides, octaves = generator['strides'], generator.get('scales_per_octave', 1)
    usual = generator.get('octave_base_scale') or generator['scales'][0]
    best = best_scale(boxes, strides, usual, octaves)
    share, before = (
        f'{matched(boxes, anchor_grid(strides, scale, octaves)):.0%}'
        for scale in (best, usual)
    )
    words = f'Anchors match the shape of {share} of the boxes'
    if best == usual:
        return dict(anchors=f'{words}.')
    # RoIs go to the levels that their anchors are on.
    finest = max(4, round(56 * best / usual)) if best < usual else None
    words = f'{words}, those of the base {before}.'
    return dict(scale=best, finest_scale=finest, anchors=words)


def anchor_grid(strides: Sequence[int], scale: float, octaves: int = 1) -> np.ndarray:
    """Return widths and heights of mmdet's anchors, (K, 2), by stride."""
    sides = [s * scale * 2 ** (i / octaves) for s in strides for i in range(octaves)]
    return np.array([(side / r**0.5, side * r**0.5) for side in sides for r in _RATIOS])


def best_scale(
    boxes: np.ndarray, strides: Sequence[int], usual: float, octaves: int = 1
) -> float:
    """Return the scale of anchors, in strides, that fits boxes (M, 2) best.

    A box counts for as much as its level shows of it: anchors of few strides match small
    boxes, but on maps where these are a cell or two. The usual scale is taken unless
    another is clearly better.
    """
    sides = np.sqrt(boxes.prod(1))[:, None]
    of_anchor = np.repeat(strides, octaves * len(_RATIOS))
    worth = np.minimum(1, sides / (_CELLS * of_anchor))

    def fit(scale: float) -> float:
        good = shape_iou(boxes, anchor_grid(strides, scale, octaves)) >= _GOOD
        return float((good * worth).max(1).mean())

    fits = {scale: fit(scale) for scale in _SCALES}
    best = max(fits, key=lambda scale: (fits[scale], scale))
    return best if fits[best] >= fit(usual) + _WORTH else usual


def cluster(boxes: np.ndarray, count: int = 9) -> np.ndarray:
    """Cluster boxes (M, 2) into anchors (count, 2) for YOLO, by growing area.

    K-means of the logarithms: equal ratios of sides are equally far, as for the IoU. It
    starts at quantiles of the area, so that the result is always the same.
    """
    from scipy.cluster.vq import kmeans2

    order = np.log(boxes[np.argsort(boxes.prod(1))])
    start = order[((np.arange(count) + 0.5) / count * len(order)).astype(int)]
    anchors = np.exp(kmeans2(order, start, minit='matrix', missing='warn')[0])
    return np.maximum(anchors[np.argsort(anchors.prod(1))], 2)
