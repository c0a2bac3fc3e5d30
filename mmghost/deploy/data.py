"""Data sets of a config, for exported files: looked for first, then built."""

import os
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from ..checks.datasets import check_root
from ..checks.problems import missing_file
from ..checks import build_datasets, raise_if_fatal
from ..engine.launch import in_plain_words, innermost
from ..checks.toolbox import toolbox_of


def check_places(cfg: Config, loader: str) -> None:
    """Check that the folders and the annotation file of a loader's data are there.

    Args:
        cfg: The config.
        loader: ``'train_dataloader'`` and so on; one that it lacks is passed over.

    Raises:
        UserError: In the words of ``tools/train.py``, if they are not.
    """
    problems = []
    for path, dataset in build_datasets(cfg, loader):
        ann_file = dataset.ann_file
        problem = check_root(dataset, path)
        if problem is None and ann_file and not os.path.exists(ann_file):
            problem = missing_file(ann_file, f'{path}.ann_file')
        problems += [problem] if problem else []
    raise_if_fatal(problems)


def build_dataset(cfg: Config, loader: str) -> Any:
    """Build the data set of a loader.

    Args:
        cfg: The config.
        loader: ``'train_dataloader'`` and so on.

    Raises:
        UserError: If data or config must be mended first.
    """
    init_default_scope(toolbox_of(cfg).scope)
    check_places(cfg, loader)
    with in_plain_words(cfg):
        return DATASETS.build(innermost(cfg[loader].dataset))
