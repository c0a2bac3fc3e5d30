"""Measure an exported file on a test set, with the evaluator of its config.

Images go the way that they go on a device, through the runtime. Annotations and metric
are the toolbox's, so that the scores stand beside those of ``tools/test.py``.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope

from ..checks.datasets import check_dataset
from ..checks.preflight import build_datasets
from ..checks.problems import raise_if_fatal
from ..checks.toolbox import toolbox_of
from ..errors import UserError, examples
from .runtime import Classification, Detections, FileError, Runner, SegmentationMap

Sample = dict[str, Any]


def evaluate(
    cfg: Config,
    path: str,
    backend: str | None = None,
    threads: int | None = None,
    note: Callable[[str], None] = print,
) -> dict[str, float]:
    """Evaluate an exported file on the test set of a config.

    Args:
        cfg: The config; ``test_dataloader`` and ``test_evaluator`` are used.
        path: The file.
        backend: See :class:`~mmghost.deploy.runtime.Runner`.
        threads: See there.
        note: Called with the progress now and then.

    Returns:
        The metrics, and ``ms``: the median time from an image file to its result.

    Raises:
        UserError: If the file, the config or the data must be fixed first.
    """
    for key in ('test_dataloader', 'test_evaluator'):
        if cfg.get(key) is None:
            raise UserError(f'{cfg.filename} has no {key}: it cannot be evaluated')
    init_default_scope(toolbox_of(cfg).scope)
    try:
        runner = Runner(path, backend, threads)
        dataset = open_test_set(cfg, runner)
        evaluator = Evaluator(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        times, last = [], time.monotonic()
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            start = time.perf_counter()
            result = runner.predict(info['img_path'])
            times.append(time.perf_counter() - start)
            sample = data_sample(result, info, dataset, index)
            evaluator.process(data_samples=[sample], data_batch=None)
            if time.monotonic() - last > 10:
                last = time.monotonic()
                note(f'{index + 1} of {len(dataset)} images')
    except FileError as error:
        raise UserError(str(error)) from error
    metrics = evaluator.evaluate(len(dataset))
    return {**metrics, 'ms': 1000 * float(np.median(times))}


def open_test_set(cfg: Config, runner: Runner) -> Any:
    """Return the test set of a config, its annotations read.

    Raises:
        UserError: If there are several, one cannot be read, or its classes are not
            those of the file.
    """
    found = build_datasets(cfg, 'test_dataloader')
    if len(found) != 1:
        raise UserError(f'test_dataloader has {len(found)} datasets; put one there')
    path, dataset = found[0]
    raise_if_fatal(check_dataset(dataset, path)[0])
    dataset.full_init()
    theirs = list(dataset.metainfo.get('classes') or [])
    ours = runner.metadata.classes
    if theirs and ours and theirs != ours:
        raise UserError(
            f'{runner.path} has {len(ours)} classes ({examples(ours)}), the test set '
            f'{len(theirs)} ({examples(theirs)})'
        )
    return dataset


def data_sample(
    result: Classification | Detections | SegmentationMap,
    info: Sample,
    dataset: Any,
    index: int,
) -> Sample:
    """Return a result and its annotations as the evaluators read them.

    Args:
        result: Of the runtime.
        info: The dataset's entry for the image.
        dataset: The test set; its pipeline only loads.
        index: Of the entry.
    """
    sample = {
        'img_id': info.get('img_id'),
        'img_path': info['img_path'],
        'ori_shape': (info.get('height'), info.get('width')),
        'seg_map_path': info.get('seg_map_path'),
        'reduce_zero_label': False,
    }
    if isinstance(result, Detections):
        from mmengine.structures import InstanceData

        found = InstanceData(
            bboxes=torch.from_numpy(result.boxes),
            scores=torch.from_numpy(result.scores),
            labels=torch.from_numpy(result.labels),
        )
        if result.masks is not None:
            found.masks = torch.from_numpy(result.masks)
        # `instances` is for metrics that compare with the dataset's own annotations.
        return {
            **sample,
            'pred_instances': found,
            'instances': info.get('instances', []),
        }
    if isinstance(result, SegmentationMap):
        truth = torch.from_numpy(dataset[index]['gt_seg_map']).long()
        return {
            **sample,
            'pred_sem_seg': {'data': torch.from_numpy(result.labels)[None]},
            'gt_sem_seg': {'data': truth[None]},
        }
    return {
        **sample,
        'pred_score': torch.from_numpy(result.scores),
        'pred_label': torch.tensor([int(result.scores.argmax())]),
        'gt_label': torch.tensor([info['gt_label']]),
        'num_classes': len(result.scores),
    }
