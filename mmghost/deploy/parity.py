"""Whether an exported file computes what the toolbox computes, at several sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from .graphs import Graph
from .runtime.runner import Feed, Runner

# Float32 sums in another order, over some hundred layers: of raw outputs relative to the
# largest, of classifiers' logits to their range; of objects' scores, absolute.
NUMBERS = 1e-3
PIXELS = 0.1  # of boxes, in px
# What is said where the model found nothing, and so nothing was compared.
NO_OBJECTS = 'no objects in either'
# Two candidates of almost equal score, or an overlap that almost is the threshold, may
# be decided the other way.
SHARE = 0.99


@dataclass(frozen=True)
class Comparison:
    """One input, run through the file and through the toolbox.

    Args:
        size: Batch, height and width.
        words: How alike the results are.
        good: Whether that is as alike as it should be.
    """

    size: tuple[int, int, int]
    words: str
    good: bool


def compare(
    model: nn.Module,
    graph: Graph,
    runner: Runner,
    sizes: Sequence[tuple[int, int, int]],
) -> list[Comparison]:
    """Run noise of several sizes through an exported file and through the toolbox.

    Args:
        model: The toolbox's model as it was trained; its ``predict`` is the reference.
        graph: What was exported; the reference for raw outputs.
        runner: The file.
        sizes: Batches, heights and widths.
    """
    kinds = {'classification': _classes, 'segmentation': _label_maps}
    results = []
    for number, size in enumerate(sizes):
        image = noise(*size, seed=number)
        with torch.no_grad():
            if runner.facts.raw:
                words, good = _raw(graph, runner, image)
            else:
                kind = kinds.get(runner.facts.task, _objects)
                words, good = kind(model, runner, image)
        results.append(Comparison(size, words, good))
    return results


def compared_nothing(comparisons: Sequence[Comparison]) -> bool:
    """Tell whether no size gave an object, in the file or in the toolbox."""
    return all(found.words == NO_OBJECTS for found in comparisons)


def noise(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Normalised pictures of random patches of all scales, (count, 3, height, width).

    Down to single pixels: in even patches scores would be equal from place to place, and
    which of them are the best would be nobody's fault.
    """
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(count, 3, height, width, generator=generator)
    for cells in (2, 8, 32):
        patches = torch.randn(count, 3, cells, cells, generator=generator)
        image += nn.functional.interpolate(patches, (height, width), mode='nearest')
    return image / 2


def _raw(graph: Graph, runner: Runner, image: Tensor) -> tuple[str, bool]:
    expected = graph(image)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = runner.run({'image': image.numpy()})
    worst = 0.0
    for name, reference in zip(graph.outputs, expected):
        scale = float(reference.abs().max().clamp(min=1e-12))
        difference = np.abs(found[name] - reference.numpy()).max(initial=0)
        worst = float(np.maximum(worst, difference / scale))  # a NaN stays one
    return f'raw outputs differ by {worst:.1e}, relative', worst < NUMBERS


def _classes(model: nn.Module, runner: Runner, image: Tensor) -> tuple[str, bool]:
    samples = model(image, mode='predict')
    expected = torch.stack([sample.pred_score for sample in samples]).numpy()
    found = runner.run({'image': image.numpy()})['scores']
    # Logits, but for a constant: of a thousand classes each may have 0.001, and any other
    # scores be as near as that; where one has all, logits of 20 err by more than those of 1.
    logits, others = (np.log(np.maximum(p, 1e-30)) for p in (expected, found))
    worst = float(np.abs(logits - others).max() / max(np.ptp(logits), 1))
    return f'logits differ by {worst:.1e}, relative', worst < NUMBERS


def _label_maps(model: nn.Module, runner: Runner, image: Tensor) -> tuple[str, bool]:
    from mmseg.structures import SegDataSample

    n, _, height, width = image.shape
    # Some rows and columns padded, and an original of another size.
    size = height - height // 8, width - width // 8
    original = int(size[0] * 1.3), int(size[1] * 1.3)
    padding = [0, width - size[1], 0, height - size[0]]
    samples = [
        SegDataSample(
            metainfo=dict(
                img_shape=size,
                ori_shape=original,
                pad_shape=(height, width),
                padding_size=padding,
            )
        )
        for _ in range(n)
    ]
    samples = model(image, samples, mode='predict')
    expected = torch.cat([sample.pred_sem_seg.data for sample in samples]).numpy()
    feed = {
        'image': image.numpy(),
        'image_size': np.array(size, np.int64),
        'original_size': np.array(original, np.int64),
    }
    found = runner.run({name: feed[name] for name in runner.inputs})['labels']
    if found.shape != expected.shape:
        return f'label maps are {found.shape} in place of {expected.shape}', False
    same = float((found == expected).mean())
    return f'{same:.3%} of the pixels have the same label', same >= SHARE


def _objects(model: nn.Module, runner: Runner, image: Tensor) -> tuple[str, bool]:
    from mmdet.structures import DetDataSample

    n, _, height, width = image.shape
    size = height - height // 8, width - width // 8
    factor = (0.8, 1.25)  # wide and high by different factors, as after rounding
    original = round(size[0] / factor[1]), round(size[1] / factor[0])
    meta = dict(
        img_shape=size,
        ori_shape=original,
        scale_factor=factor,
        pad_shape=(height, width),
        batch_input_shape=(height, width),
    )
    samples = [DetDataSample(metainfo=dict(meta)) for _ in range(n)]
    samples = model(image, samples, mode='predict')
    feed = {
        'image': image.numpy(),
        'image_size': np.array([size] * n, np.float32),
        'scale_factor': np.array([factor] * n, np.float32),
    }
    outputs = runner.run({name: feed[name] for name in runner.inputs})
    total = matched = 0
    for number, sample in enumerate(samples):
        ours, theirs = (
            _found(outputs, number),
            tuple(
                getattr(sample.pred_instances, name).numpy()
                for name in ('bboxes', 'scores', 'labels')
            ),
        )
        total += max(len(ours[1]), len(theirs[1]))
        matched += match(ours, theirs)
    if not total:
        return NO_OBJECTS, True
    words = f'{matched} of {total} objects are the same'
    return words, matched >= SHARE * total


def _found(outputs: Feed, number: int) -> tuple[np.ndarray, ...]:
    labels = outputs['labels'][number]
    dets = outputs['dets'][number][labels >= 0]
    return dets[:, :4], dets[:, 4], labels[labels >= 0]


def match(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> int:
    """Count objects that two lists of boxes, scores and labels have in common."""
    boxes, scores, labels = theirs
    free = np.ones(len(scores), bool)
    count = 0
    for box, score, label in zip(*ours):
        near = free & (labels == label) & (np.abs(scores - score) < NUMBERS)
        if len(boxes):
            # Large boxes come out of an exponential: a share of their size as well.
            slack = PIXELS + NUMBERS * np.abs(boxes).max(1)
            near &= np.abs(boxes - box).max(1) < slack
        if near.any():
            free[near.argmax()] = False
            count += 1
    return count
