"""Measure an exported file on a test set, with the evaluator of its config.

Images go the way that they go on a device, through the runtime. Annotations and metric
are the toolbox's, so that the scores stand beside those of ``tools/test.py``.
"""

import time
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmengine.utils import track_iter_progress

from ..checks.datasets import check_dataset
from ..checks.preflight import build_datasets
from ..checks.problems import raise_if_fatal
from ..checks.toolbox import scope_of
from ..engine.launch import get_test_dataset
from ..errors import UserError, examples
from .runtime import Classification, Detections, FileError, Runner, SegmentationMap


def evaluate(cfg: Config, path: str, **settings: Any) -> dict[str, float]:
    """Evaluate an exported file on the test set of a config.

    Args:
        cfg: The config; ``test_dataloader`` and ``test_evaluator`` are used.
        path: The file.
        **settings: Of :class:`~mmghost.deploy.runtime.Runner`.

    Returns:
        The metrics, and ``ms``: the median time from an image file to its result.

    Raises:
        UserError: If the file, the config or the data must be fixed first.
    """
    for key in ('test_dataloader', 'test_evaluator'):
        if cfg.get(key) is None:
            raise UserError(f'{cfg.filename} has no {key}: it cannot be evaluated')
    init_default_scope(scope_of(cfg))
    try:
        runner = Runner(path, **settings)
        dataset = open_test_set(cfg, runner)
        evaluator = Evaluator(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        times = []
        for index in track_iter_progress(range(len(dataset))):
            image = dataset.get_data_info(index)['img_path']
            start = time.perf_counter()
            result = runner.predict(image)
            times.append(time.perf_counter() - start)
            sample = dataset[index]['data_samples']
            add_result(sample, result)
            evaluator.process([sample])
    except FileError as error:
        raise UserError(str(error)) from error
    metrics = {n: float(v) for n, v in evaluator.evaluate(len(dataset)).items()}
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
    dataset.pipeline = Compose(get_test_dataset(cfg).pipeline)  # with annotations
    theirs = list(dataset.metainfo.get('classes') or [])
    ours = runner.metadata.classes
    if theirs and ours and theirs != ours:
        raise UserError(
            f'{runner.path} has {len(ours)} classes ({examples(ours)}), the test set '
            f'{len(theirs)} ({examples(theirs)})'
        )
    return dataset


def add_result(
    sample: Any, result: Classification | Detections | SegmentationMap
) -> None:
    """Add a result of the runtime to a sample of the toolbox, with its annotations."""
    if isinstance(result, Detections):
        values = {name: v for name, v in vars(result).items() if v is not None}
        found = {name: torch.from_numpy(value) for name, value in values.items()}
        sample.pred_instances = InstanceData(bboxes=found.pop('boxes'), **found)
    elif isinstance(result, SegmentationMap):
        labels = torch.from_numpy(result.labels)[None]
        sample.pred_sem_seg = PixelData(data=labels)
    else:
        scores = torch.from_numpy(result.scores)
        sample.set_pred_score(scores).set_pred_label(scores.argmax())
