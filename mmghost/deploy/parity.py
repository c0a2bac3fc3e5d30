"""Compare an exported file with the toolbox, at several sizes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn as nn
from mmengine.utils import get_object_from_string
from torch import Tensor

from .runtime.images import Prepared
from .runtime.results import paste_masks
from .runtime.runner import Feed, Runner

# Of the range of outputs and logits. Float32 sums in another order give up to 4e-6; the
# mildest wrong file seen was off by 1.2e-3. With random batch norm statistics, PyTorch's
# own float32 was off by up to 3e-4 of its float64, in two seeds of six.
# Runtimes have no node for group norms, whose small variances amplify it as well.
TOLERANCE = 1e-4
WITH_GROUP_NORM = 1e-3
SCORE = 1e-3  # of objects, absolute
PIXELS = 0.1  # of boxes, in px
MASK_IOU = 0.9  # pixels whose probability is almost the threshold may differ
# Two candidates of almost equal score, or an overlap that is almost the threshold, may be
# decided the other way.
SHARE = 0.99
NO_OBJECTS = 'no objects in either'
SAMPLES = {
    'classification': 'mmpretrain.structures.DataSample',
    'segmentation': 'mmseg.structures.SegDataSample',
}


class Comparison(NamedTuple):
    """One input, run through the file and through the toolbox.

    Args:
        size: Batch, height and width.
        result: How close the outputs are, in words.
        close: Whether they are close enough.
    """

    size: tuple[int, int, int]
    result: str
    close: bool


def compare(
    model: nn.Module,
    graph: nn.Module | None,
    runner: Runner,
    sizes: Sequence[tuple[int, int, int]],
) -> list[Comparison]:
    """Run noise of several sizes through an exported file and through the toolbox.

    Args:
        model: The toolbox's model as trained; its ``predict`` is the reference.
        graph: The reference for outputs without postprocessing, if the file has them.
        runner: The file.
        sizes: Batches, heights and widths.
    """
    groups = any(isinstance(module, nn.GroupNorm) for module in model.modules())
    tolerance = WITH_GROUP_NORM if groups else TOLERANCE
    found = []
    for seed, size in enumerate(sizes):
        image = noise(*size, seed=seed)
        with torch.no_grad():
            results = [_predictions(model, runner, image, tolerance)]
            if graph is not None:
                results.append(_outputs(graph, runner, image, tolerance))
        texts, close = zip(*results)
        found.append(Comparison(size, ', '.join(texts), all(close)))
    return found


def noise(
    count: int, height: int, width: int, seed: int = 0, grain: float = 0.2
) -> Tensor:
    """Return normalized images of random patches of all scales, (count, 3, H, W).

    Down to single pixels, the grain: on even patches, scores would be equal from place to
    place, and which are best a matter of rounding. As strong as the patches, it leaves
    what images look like: rounding of a trained network grew from 3e-6 to 1e-4.
    """
    generator = torch.Generator().manual_seed(seed)
    image = grain * torch.randn(count, 3, height, width, generator=generator)
    for cells in (2, 8, 32):
        patches = torch.randn(count, 3, cells, cells, generator=generator)
        image += nn.functional.interpolate(patches, (height, width), mode='nearest')
    return image / 2


def _outputs(
    graph: nn.Module, runner: Runner, image: Tensor, tolerance: float
) -> tuple[str, bool]:
    expected = graph(image)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = runner.run({'image': image.numpy()})
    worst = 0.0
    for name, reference in zip(graph.outputs, expected, strict=True):
        wanted = reference.numpy()
        difference = np.abs(found[name].reshape(wanted.shape) - wanted).max(initial=0)
        worst = float(np.maximum(worst, difference / max(np.ptp(wanted), 1e-12)))
    return f'outputs differ by {worst:.1e} of the range', worst < tolerance


def _predictions(
    model: nn.Module, runner: Runner, image: Tensor, tolerance: float
) -> tuple[str, bool]:
    task, (n, _, height, width) = runner.metadata.task, image.shape
    # Some rows and columns are padding, and the original has another size, by different
    # factors of width and height, as after rounding.
    size, factor = (height - height // 8, width - width // 8), (0.8, 1.25)
    original = round(size[0] / factor[1]), round(size[1] / factor[0])
    meta = dict(
        img_shape=size,
        ori_shape=original,
        scale_factor=factor,
        pad_shape=(height, width),
        batch_input_shape=(height, width),
        padding_size=[0, width - size[1], 0, height - size[0]],
    )
    kind = get_object_from_string(SAMPLES.get(task, 'mmdet.structures.DetDataSample'))
    samples = [kind(metainfo=dict(meta)) for _ in range(n)]
    samples = model(image, samples, mode='predict')
    found = _run(
        runner, [Prepared(pixels, size, original, factor) for pixels in image.numpy()]
    )
    if task == 'classification':
        return _classes(samples, found, tolerance)
    if task == 'segmentation':
        return _label_maps(samples, found)
    return _objects(samples, found, runner.metadata.mask_threshold)


def _run(runner: Runner, images: list[Prepared]) -> Feed:
    """Run a batch of images that are padded and scaled alike."""
    if runner.metadata.decoding is not None:  # such files take one image
        return runner.compute(images[0])
    feeds = [runner.feed(prepared) for prepared in images]
    # Of a segmentor, the sizes are those of all images; a file for several images repeats
    # each, of which one is taken.
    whole = runner.metadata.task == 'segmentation'
    return runner.run(
        {
            name: value
            if whole and name != 'image'
            else np.concatenate([feed[name][:1] for feed in feeds])
            for name, value in feeds[0].items()
        }
    )


def _classes(samples: list[Any], found: Feed, tolerance: float) -> tuple[str, bool]:
    expected = torch.stack([sample.pred_score for sample in samples]).numpy()
    # Logits, up to a constant: of a thousand classes each may have a score of 0.001, which
    # any other score is close to. Logits of 20 err by more than those of 1.
    logits, others = (
        np.log(np.maximum(scores, 1e-30)) for scores in (expected, found['scores'])
    )
    worst = float(np.abs(logits - others).max() / max(np.ptp(logits), 1))
    return f'logits differ by {worst:.1e} of the range', worst < tolerance


def _label_maps(samples: list[Any], found: Feed) -> tuple[str, bool]:
    expected = torch.cat([sample.pred_sem_seg.data for sample in samples]).numpy()
    labels = found['labels']
    if labels.shape != expected.shape:
        return f'label maps are {labels.shape} instead of {expected.shape}', False
    same = float((labels == expected).mean())
    return f'{same:.3%} of the pixels have the same label', same >= SHARE


def _objects(samples: list[Any], found: Feed, threshold: float) -> tuple[str, bool]:
    total = matched = 0
    for i, sample in enumerate(samples):
        real, wanted = found['labels'][i] >= 0, sample.pred_instances.numpy()
        dets = found['dets'][i][real]
        ours = [dets[:, :4], dets[:, 4], found['labels'][i][real]]
        theirs = [wanted.bboxes, wanted.scores, wanted.labels]
        if 'masks' in found:
            size, masks = wanted.masks.shape[1:], found['masks'][i][real]
            ours.append(paste_masks(masks, dets[:, :4], size, threshold))
            theirs.append(wanted.masks)
        total += max(len(dets), len(wanted))
        matched += match(ours, theirs)
    if not total:
        return NO_OBJECTS, True
    return f'{matched} of {total} objects are the same', matched >= SHARE * total


def match(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> int:
    """Return how many objects two lists of boxes, scores, labels, or masks too, share."""
    boxes, scores, labels, *masks = theirs
    free = np.ones(len(scores), bool)
    for box, score, label, *mask in zip(*ours):
        near = free & (labels == label) & (np.abs(scores - score) < SCORE)
        # Large boxes come out of an exponential: a share of their size as well.
        slack = PIXELS + SCORE * np.abs(boxes).max(1, initial=0)
        near &= np.abs(boxes - box).max(1, initial=0) < slack
        for both, one in zip(masks, mask):
            near[near] = [_iou(other, one) > MASK_IOU for other in both[near]]
        if near.any():
            free[near.argmax()] = False
    return int((~free).sum())


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return ((one & other).sum() + 1) / ((one | other).sum() + 1)  # one pixel may differ
