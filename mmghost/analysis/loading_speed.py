"""How fast a config's pictures are loaded, and how fast its network takes them."""

import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

from ..engine.building import build_model
from ..checks.annotations import check_dataset, picture_problems
from ..checks.images import check_pictures
from ..checks.preflight import build_datasets, raise_if_fatal, reads_masks
from ..engine.launch import in_plain_words, innermost, set_loader_defaults
from ..checks.toolbox import toolbox_of
from ..errors import UserError


@dataclass(frozen=True)
class StepTime:
    """What one step of a pipeline takes.

    Attributes:
        name: The transform.
        milliseconds: Mean time for a picture, in ms.
    """

    name: str
    milliseconds: float


def check_loader(cfg: Config, loader: str = 'train_dataloader') -> None:
    """Check that the data of a loader are there. No picture is opened.

    Opening pictures would have them in memory already when loading them is timed.

    Args:
        cfg: The config.
        loader: Which of its loaders.

    Raises:
        UserError: If there is no such loader, or something is amiss with its data.
    """
    if not isinstance(cfg.get(loader), dict):
        raise UserError(f'{cfg.filename} has no {loader}')
    problems = []
    for path, dataset in build_datasets(cfg, loader):
        found, pictures = check_dataset(dataset, path, masks=reads_masks(cfg, loader))
        problems += found
        problems += picture_problems(check_pictures(pictures, seconds=0), path)
    raise_if_fatal(problems)


def time_steps(
    cfg: Config, loader: str = 'train_dataloader', seconds: float = 10.0
) -> list[StepTime]:
    """Time every step of a loader's pipeline, in this process.

    Args:
        cfg: The config.
        loader: Which of its loaders.
        seconds: For how long; at least one picture.

    Returns:
        The steps in their order.

    Raises:
        UserError: If the data set cannot be built, or has nothing to load.
    """
    scope = DefaultScope.overwrite_default_scope(toolbox_of(cfg).scope)
    with in_plain_words(cfg), scope:
        dataset = DATASETS.build(innermost(cfg[loader].dataset))
        dataset.full_init()
    steps = dataset.pipeline.transforms
    if not len(dataset) or not steps:
        raise UserError(f'{loader}.dataset has no pictures, or no pipeline')
    spent = [0.0] * len(steps)
    order = torch.randperm(len(dataset)).tolist()
    pictures = 0
    for _ in _during(seconds):
        results = dataset.get_data_info(order[pictures % len(order)])
        for index, step in enumerate(steps):
            begun = time.perf_counter()
            results = step(results)
            spent[index] += time.perf_counter() - begun
            if results is None:  # mmengine draws another picture then
                break
        pictures += 1
    return [
        StepTime(type(step).__name__, 1e3 * total / pictures)
        for step, total in zip(steps, spent)
    ]


def time_loader(
    cfg: Config,
    workers: int,
    loader: str = 'train_dataloader',
    seconds: float = 10.0,
) -> float:
    """Time a loader as a training uses it.

    Args:
        cfg: The config.
        workers: Processes that load; 0 is this one.
        loader: Which of its loaders.
        seconds: For how long, after the first batch; at least one more.

    Returns:
        Pictures a second.

    Raises:
        UserError: If the loader cannot be built.
    """
    batches = _endless(_build_loader(cfg, loader, workers))
    next(batches)
    pictures, begun = 0, time.perf_counter()
    for _ in _during(seconds):
        pictures += _pictures_in(next(batches))
    return pictures / (time.perf_counter() - begun)


def time_training(
    cfg: Config, seconds: float = 10.0, batch_size: int | None = None
) -> float:
    """Time the training steps of a config's network on one batch that is there already.

    Args:
        cfg: The config.
        seconds: For how long, after the first step; at least one more.
        batch_size: Pictures a step; None for the config's.

    Returns:
        Pictures a second, on the GPU if there is one.

    Raises:
        UserError: If loader, network or optimizer cannot be built.
    """
    cfg = deepcopy(cfg)
    if batch_size is not None:
        cfg.train_dataloader.batch_size = batch_size
    loader = _build_loader(cfg, 'train_dataloader', 0)
    batch = next(_endless(loader))
    device = get_device()
    scope = DefaultScope.overwrite_default_scope(toolbox_of(cfg).scope)
    with in_plain_words(cfg), scope:
        model = build_model(cfg).to(device).train()
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel('WARNING')  # mmengine tells of each parameter without decay
        try:
            wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        finally:
            logger.setLevel(level)
    wrapper.initialize_count_status(model, 0, 10**9)
    _train_step(model, wrapper, batch, device)
    pictures, begun = 0, time.perf_counter()
    for _ in _during(seconds):
        _train_step(model, wrapper, batch, device)
        pictures += _pictures_in(batch)
    return pictures / (time.perf_counter() - begun)


def _during(seconds: float) -> Iterator[None]:
    """Go on until the time is over, once in any case.

    Raises:
        UserError: If it is no time.
    """
    if not seconds > 0:
        raise UserError(f'{seconds:g} seconds: there must be some time to measure in')
    end = time.perf_counter() + seconds
    yield
    while time.perf_counter() < end:
        yield


def _pictures_in(batch: dict) -> int:
    """Count the pictures of a batch: the last one of an epoch may be smaller."""
    return len(batch['inputs'])


def _train_step(model, wrapper, batch, device: str) -> None:
    model.train_step(deepcopy(batch), wrapper)
    if device != 'cpu':
        torch.cuda.synchronize()


def _build_loader(cfg: Config, name: str, workers: int):
    cfg = deepcopy(cfg)
    if toolbox_of(cfg).scope == 'mmpretrain':
        set_loader_defaults(cfg, pin_memory=True, persistent_workers=None)
    loader = cfg[name]
    loader.num_workers = workers
    loader.persistent_workers = bool(workers)
    if not workers:
        loader.pop('prefetch_factor', None)
    scope = DefaultScope.overwrite_default_scope(toolbox_of(cfg).scope)
    with in_plain_words(cfg), scope:
        return Runner.build_dataloader(loader, seed=0)


def _endless(loader):
    while True:
        yield from loader
