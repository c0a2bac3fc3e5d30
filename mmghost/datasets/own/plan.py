"""Input size, batch and schedule for a data set and the machine at hand."""

import math
import os
from typing import NamedTuple

import numpy as np
import torch

from .objects import Objects

# Iterations that a first training takes: some minutes of two CPU cores with light heads,
# an hour or so of a GPU. Epochs follow, within limits.
_ITERATIONS = {True: 240, False: 6000}
_EPOCHS = {True: (4, 30), False: (12, 150)}
_BASE_SIZE = {True: 320, False: 1024}  # px; raised for small objects up to its double
_SMALL = 12.0  # px; boxes of half that side are lost between two anchors
_GB_PER_MEGAPIXEL = 2.0  # of a GPU's memory in training, 32 bit; to be on the safe side


class Machine(NamedTuple):
    """What a training runs on.

    Attributes:
        gpus: How many GPUs torch sees.
        memory: Memory of one of them in GB.
        cores: CPU cores for this process.
    """

    gpus: int
    memory: float
    cores: int

    def __str__(self) -> str:
        """In words."""
        cores = f'{self.cores} CPU cores'
        if not self.gpus:
            return f'{cores}, no GPU'
        return (
            f'{self.gpus} GPU{"s" * (self.gpus > 1)} of {self.memory:.0f} GB, {cores}'
        )


class Plan(NamedTuple):
    """How to train.

    Attributes:
        light: With the light heads, for machines without a GPU.
        size: Longer side of the pictures in px (segmentation: side of the crops).
        batch: Pictures a step.
        epochs: How often each picture is seen.
        workers: Processes that load pictures.
    """

    light: bool
    size: int
    batch: int
    epochs: int
    workers: int


def this_machine() -> Machine:
    """Look at the machine that this runs on."""
    if hasattr(os, 'sched_getaffinity'):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    if not torch.cuda.is_available():
        return Machine(0, 0.0, cores)
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Machine(torch.cuda.device_count(), memory, cores)


def make_plan(
    machine: Machine,
    pictures: int,
    longest_side: int,
    largest_batch: int,
    objects: Objects | None = None,
    light: bool | None = None,
    size: int | None = None,
    batch: int | None = None,
    epochs: int | None = None,
    base_size: int | None = None,
) -> Plan:
    """Plan a training.

    Args:
        machine: What it runs on.
        pictures: How many there are to train on.
        longest_side: The longer side of nearly all of them, in px.
        largest_batch: What the task's recipe takes at most on one GPU, or on the CPU.
        objects: Boxes, which may ask for larger pictures.
        light: Whether to take the light heads; None does so without a GPU.
        size: The person's choice, and so are ``batch`` and ``epochs``.
        batch: Pictures a step.
        epochs: How often each picture is seen.
        base_size: The usual size of the task in px, in place of that for detection.

    Returns:
        The plan.
    """
    if light is None:
        light = machine.gpus == 0
    if size is None:
        size = fitting_size(longest_side, base_size or _BASE_SIZE[light], objects)
    if batch is None:
        batch = largest_batch
        if machine.gpus:
            picture_gb = _GB_PER_MEGAPIXEL * size**2 / 1e6
            batch = min(batch, power_of_two(0.8 * machine.memory / picture_gb))
        batch = min(batch, power_of_two(pictures / 4))  # some steps in every epoch
    if epochs is None:
        least, most = _EPOCHS[light]
        epochs = math.ceil(_ITERATIONS[light] * batch / pictures)
        epochs = min(max(epochs, least), most)
    workers = max(1, min(4, machine.cores // 2))
    return Plan(light, size, batch, epochs, workers)


def fitting_size(longest_side: int, base: int, objects: Objects | None) -> int:
    """Find an input size: the pictures' own up to a usual one, more for small objects.

    Returns:
        The longer side in px, a multiple of 32.
    """
    own = max(64, math.ceil(longest_side / 32) * 32)
    size = min(own, base)
    if objects is not None and len(objects.boxes):
        side = float(np.median(np.sqrt(objects.boxes_at(size).prod(1))))
        if side < _SMALL:
            wanted = math.ceil(size * _SMALL / side / 32) * 32
            size = min(own, 2 * base, wanted)
    return size


def power_of_two(value: float) -> int:
    """The largest power of two that is not above a value; 1 for less than 2."""
    return 2 ** max(0, math.floor(math.log2(max(1.0, value))))
