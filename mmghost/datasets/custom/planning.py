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
_SMALL = 12.0  # px; boxes of half this side fall between two anchors
_GB_PER_MEGAPIXEL = 2.0  # of GPU memory in float32 training, with a margin


class Machine(NamedTuple):
    """What a training runs on; ``memory`` is that of one GPU in GB."""

    gpus: int
    memory: float
    cores: int

    @classmethod
    def this(cls) -> 'Machine':
        """Return the machine that this runs on."""
        affinity = getattr(os, 'sched_getaffinity', None)  # Linux alone has it
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        if not torch.cuda.is_available():
            return cls(0, 0.0, cores)
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return cls(torch.cuda.device_count(), memory, cores)


class Plan(NamedTuple):
    """How to train."""

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
        rows = [
            (*entry['bbox'][2:], index[entry['image_id']], names[entry['category_id']])
            for entry in content['annotations']
            if not entry.get('iscrowd')
            and min(entry['bbox'][2:]) >= 1
            and entry['image_id'] in index
            and names[entry['category_id']] in classes
        ]
        sizes = [(image['width'], image['height']) for image in content['images']]
        return cls(
            np.array(sizes, float).reshape(-1, 2),
            np.array([row[:2] for row in rows], float).reshape(-1, 2),
            np.array([row[2] for row in rows], int),
            Counter(row[3] for row in rows),
        )

    def boxes_at(self, size: int) -> np.ndarray:
        """Return the boxes of images whose longer side is ``size`` px, (M, 2)."""
        return self.boxes * (size / self.sizes.max(1))[self.image_of, None]


def make_plan(
    choices: Any, machine: Machine, images: int, size: int, largest_batch: int
) -> Plan:
    """Plan a training.

    Args:
        choices: What the user chooses: ``size``, ``batch``, ``epochs`` and ``light``.
        machine: What it runs on.
        images: Number of training images.
        size: Longer side of the input in px, if the user does not choose one.
        largest_batch: The largest batch of the task's recipe on one GPU, or on the CPU.
    """
    size, batch, epochs = choices.size or size, choices.batch, choices.epochs
    if batch is None:
        # Some steps in each epoch; one image cannot be normalized.
        batch = max(2, min(largest_batch, power_of_two(images / 4)))
        if machine.gpus:
            image_gb = _GB_PER_MEGAPIXEL * size**2 / 1e6
            batch = min(batch, power_of_two(0.8 * machine.memory / image_gb))
    if epochs is None:
        least, most = _EPOCHS[choices.light]
        wanted = math.ceil(_ITERATIONS[choices.light] * batch / images)
        epochs = min(max(wanted, least), most)
    workers = max(1, min(4, machine.cores // 2))
    return Plan(size, batch, epochs, max(1, math.ceil(images / batch)), workers)


def fitting_size(
    sides: Sequence[float], usual: int, objects: Objects | None = None
) -> int:
    """Return an input size in px, a multiple of 32.

    It is the side that nine of ten images do not exceed, up to a usual one; larger, up to
    twice that, where half of the objects would be too small.
    """
    own = max(64, math.ceil(np.quantile(sides, 0.9) / 32) * 32)
    size = min(own, usual)
    if objects is not None and len(objects.boxes):
        side = float(np.median(np.sqrt(objects.boxes_at(size).prod(1))))
        if side < _SMALL:
            size = min(own, 2 * usual, math.ceil(size * _SMALL / side / 32) * 32)
    return size


def power_of_two(value: float) -> int:
    """Return the largest power of two up to a value, at least 1."""
    return 2 ** math.floor(math.log2(max(1.0, value)))


def fit_anchors(model: dict[str, Any], boxes: np.ndarray) -> dict[str, Any]:
    """Return smaller anchors for small objects, for the template.

    The smallest anchors are as large as the median object, but not below half of the
    detector's: smaller ones lie on maps where an object is less than a position wide
    (docs/results.md compares four for nuclei).

    Args:
        model: Config of the detector.
        boxes: Widths and heights at the input size in px, (M, 2).
    """
    generator = (model.get('rpn_head') or model['bbox_head'])['anchor_generator']
    if generator['type'] != 'AnchorGenerator':
        return {}
    usual = generator.get('octave_base_scale') or generator['scales'][0]
    side = float(np.median(np.sqrt(boxes.prod(1))))
    scale = max(usual // 2, round(side / generator['strides'][0]))
    # RoIs go to the levels that their anchors are on.
    finest = round(56 * scale / usual)
    return dict(scale=scale, finest_scale=finest) if scale < usual else {}
