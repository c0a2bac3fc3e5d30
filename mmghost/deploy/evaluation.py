"""Measuring an exported file on a test set, with the evaluator of its config.

Pictures go the way that they go on a device, through the runtime; the annotations and
the metric are the toolbox's. So the figures stand beside those of ``tools/test.py``.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope

from ..engine.launch import in_plain_words
from ..checks.toolbox import toolbox_of
from ..errors import UserError
from .data import build_dataset
from .runtime.facts import FileFault
from .runtime.results import Classification, Detections, LabelMap
from .runtime.runner import Runner

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
        backend: As for :class:`~mmghost.deploy.runtime.Runner`.
        threads: As there.
        note: Told how far it is, now and then.

    Returns:
        The metrics, and ``ms``: the median time of a picture from file to result.

    Raises:
        UserError: If the file or the config must be mended first.
    """
    for key in ('test_dataloader', 'test_evaluator'):
        if cfg.get(key) is None:
            raise UserError(f'{cfg.filename} has no {key}: nothing can be evaluated')
    scope = toolbox_of(cfg).scope
    init_default_scope(scope)
    try:
        runner = Runner(path, backend, threads)
        dataset = build_dataset(cfg, 'test_dataloader')
        with in_plain_words(cfg):
            evaluator = Evaluator(cfg.test_evaluator)
        _check_classes(runner, dataset)
        evaluator.dataset_meta = dataset.metainfo
        times, last = [], time.monotonic()
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            start = time.perf_counter()
            result = runner.predict(info['img_path'])
            times.append(time.perf_counter() - start)
            sample = WRITERS[scope](result, info, dataset, index)
            evaluator.process(data_samples=[sample], data_batch=None)
            if time.monotonic() - last > 10:
                last = time.monotonic()
                note(f'{index + 1} of {len(dataset)} pictures')
    except FileFault as fault:
        raise UserError(str(fault)) from None
    metrics = evaluator.evaluate(len(dataset))
    return {**metrics, 'ms': 1000 * float(np.median(times))}


def _check_classes(runner: Runner, dataset: Any) -> None:
    theirs = list(dataset.metainfo.get('classes') or [])
    ours = runner.facts.classes
    if theirs and ours and theirs != ours:
        raise UserError(
            f'{runner.path} knows {len(ours)} classes ({", ".join(ours[:4])} ...), the '
            f'test set {len(theirs)} ({", ".join(theirs[:4])} ...)'
        )


def _objects(result: Detections, info: Sample, dataset: Any, index: int) -> Sample:
    from mmengine.structures import InstanceData

    found = InstanceData(
        bboxes=torch.from_numpy(result.boxes),
        scores=torch.from_numpy(result.scores),
        labels=torch.from_numpy(result.labels),
    )
    if result.masks is not None:
        found.masks = torch.from_numpy(result.masks)
    return {
        **_meta(info),
        'pred_instances': found,
        # For metrics that compare with the annotations of the data set itself.
        'instances': info.get('instances', []),
    }


def _label_map(result: LabelMap, info: Sample, dataset: Any, index: int) -> Sample:
    # Only the data set's own pipeline knows how a label map is read.
    packed = dataset[index]['data_samples']
    truth = packed.gt_sem_seg.data
    if truth.shape[-2:] != result.labels.shape:
        raise UserError(
            f'{info["seg_map_path"]} is {tuple(truth.shape[-2:])} after the test '
            f'pipeline, and the prediction {result.labels.shape}: LoadAnnotations must '
            'come after Resize'
        )
    return {
        **_meta(info),
        'pred_sem_seg': {'data': torch.from_numpy(result.labels)[None]},
        'gt_sem_seg': {'data': truth},
    }


def _class(result: Classification, info: Sample, dataset: Any, index: int) -> Sample:
    return {
        **_meta(info),
        'pred_score': torch.from_numpy(result.scores),
        'pred_label': torch.tensor([int(result.scores.argmax())]),
        'gt_label': torch.tensor([info['gt_label']]),
        'num_classes': len(result.scores),
    }


def _meta(info: Sample) -> Sample:
    """What metrics ask for to know a picture by."""
    meta = {'img_id': info.get('img_id'), 'img_path': info['img_path']}
    if 'height' in info:
        meta['ori_shape'] = info['height'], info['width']
    return {
        **meta,
        'seg_map_path': info.get('seg_map_path'),
        'reduce_zero_label': False,
    }


WRITERS = {'mmdet': _objects, 'mmseg': _label_map, 'mmpretrain': _class}
