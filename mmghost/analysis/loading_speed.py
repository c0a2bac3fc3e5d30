"""How fast a config's pictures are loaded, and how fast its network takes them."""

import time
from copy import deepcopy
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner

from ..engine.launch import innermost, set_loader_defaults
from ..engine.toolbox import toolbox_of


@dataclass(frozen=True)
class StepTime:
    """What one step of a pipeline takes.

    Attributes:
        name: The transform.
        milliseconds: Mean time for a picture, in ms.
    """

    name: str
    milliseconds: float


def time_steps(
    cfg: Config, loader: str = 'train_dataloader', seconds: float = 10.0
) -> list[StepTime]:
    """Time every step of a loader's pipeline, in this process.

    Args:
        cfg: The config.
        loader: Which of its loaders.
        seconds: For how long.

    Returns:
        The steps in their order.
    """
    with DefaultScope.overwrite_default_scope(toolbox_of(cfg).scope):
        dataset = DATASETS.build(innermost(cfg[loader].dataset))
    dataset.full_init()
    steps = dataset.pipeline.transforms
    spent = [0.0] * len(steps)
    order = torch.randperm(len(dataset)).tolist()
    pictures, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
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
        seconds: For how long, after the first batch.

    Returns:
        Pictures a second.
    """
    built = _build_loader(cfg, loader, workers)
    batches = _endless(built)
    next(batches)
    pictures, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        next(batches)
        pictures += cfg[loader].batch_size
    return pictures / passed


def time_training(
    cfg: Config, seconds: float = 10.0, batch_size: int | None = None
) -> float:
    """Time the training steps of a config's network on one batch that is there already.

    Args:
        cfg: The config.
        seconds: For how long, after the first step.
        batch_size: Pictures a step; None for the config's.

    Returns:
        Pictures a second, on the GPU if there is one.
    """
    cfg = deepcopy(cfg)
    if batch_size is not None:
        cfg.train_dataloader.batch_size = batch_size
    loader = _build_loader(cfg, 'train_dataloader', 0)
    batch = next(_endless(loader))
    model_cfg = cfg.model
    if cfg.get('data_preprocessor') is not None:
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    device = get_device()
    with DefaultScope.overwrite_default_scope(toolbox_of(cfg).scope):
        model = MODELS.build(model_cfg).to(device).train()
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    wrapper.initialize_count_status(model, 0, 10**9)
    _train_step(model, wrapper, batch, device)
    pictures, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        _train_step(model, wrapper, batch, device)
        pictures += cfg.train_dataloader.batch_size
    return pictures / passed


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
    with DefaultScope.overwrite_default_scope(toolbox_of(cfg).scope):
        return Runner.build_dataloader(loader, seed=0)


def _endless(loader):
    while True:
        yield from loader
