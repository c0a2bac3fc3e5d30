"""Measure how fast a config's images are loaded, and how fast its network takes them.

Examples:
    python -m dev.loading_speed configs/ghostnetv2_imagenet.py
    python -m dev.loading_speed CONFIG --workers 1 2 4 --seconds 20
    python -m dev.loading_speed CONFIG --no-network \
        --cfg-options train_dataloader.dataset.data_root=data/other
"""

import argparse
import math
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.checks.toolbox import scope_of
from mmghost.engine.building import build_model
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import cli_main


def scope(cfg: Config) -> Any:
    """Return the context in which the parts of a config are built."""
    return DefaultScope.overwrite_default_scope(scope_of(cfg))


def rate(step: Callable[[], int], seconds: float) -> float:
    """Return images per second of a step that returns its number of images."""
    step()  # warm up
    images, began = 0, time.perf_counter()
    while images == 0 or time.perf_counter() - began < seconds:
        images += step()
    return images / (time.perf_counter() - began)


def time_steps(cfg: Config, seconds: float) -> dict[str, float]:
    """Return the mean time of each step of the training pipeline in ms, in this process."""
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    with scope(cfg):
        dataset = DATASETS.build(dataset)
        dataset.full_init()
    steps = dataset.pipeline.transforms
    spent = [0.0] * len(steps)
    order = torch.randperm(len(dataset)).tolist()
    images, end = 0, time.perf_counter() + seconds
    while images == 0 or time.perf_counter() < end:
        results = dataset.get_data_info(order[images % len(order)])
        for i, step in enumerate(steps):
            began = time.perf_counter()
            results = step(results)
            spent[i] += time.perf_counter() - began
            if results is None:  # mmengine draws another image then
                break
        images += 1
    names = [f'{i + 1} {type(step).__name__}' for i, step in enumerate(steps)]
    return {name: 1e3 * total / images for name, total in zip(names, spent)}


def build_loader(cfg: Config, workers: int):
    """Build the training loader, and iterate over it without end."""
    cfg = deepcopy(cfg)
    loader = cfg.train_dataloader
    loader.update(num_workers=workers, persistent_workers=bool(workers))
    if not workers:
        loader.pop('prefetch_factor', None)
    with scope(cfg):
        batches = Runner.build_dataloader(loader, seed=0)
    while True:
        yield from batches


def time_loader(cfg: Config, workers: int, seconds: float) -> float:
    """Return the images per second of the training loader; 0 workers is this process."""
    batches = build_loader(cfg, workers)
    return rate(lambda: len(next(batches)['inputs']), seconds)


def time_training(cfg: Config, seconds: float, batch_size: int | None = None) -> float:
    """Return the images per second of training steps on one batch, on a GPU if there is one."""
    cfg = deepcopy(cfg)
    cfg.train_dataloader.batch_size = batch_size or cfg.train_dataloader.batch_size
    batch = next(build_loader(cfg, 0))
    with scope(cfg):
        model = build_model(cfg).to(get_device()).train()
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    wrapper.initialize_count_status(model, 0, 10**9)

    def step() -> int:
        model.train_step(deepcopy(batch), wrapper)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return len(batch['inputs'])

    return rate(step, seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument(
        '--workers',
        type=int,
        nargs='+',
        default=[1],
        help='numbers of processes to try',
    )
    parser.add_argument('--seconds', type=float, default=10, help='for each figure')
    parser.add_argument(
        '--batch-size', type=int, help="for the network; default: the config's"
    )
    parser.add_argument(
        '--no-network', action='store_true', help='measure the loading only'
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    cfg = load_config(args.config, args.cfg_options)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a loading process
    steps = time_steps(cfg, args.seconds)
    steps['all'] = sum(steps.values())
    print('step                            ms an image   share')
    for name, spent in steps.items():
        print(f'{name:30} {spent:12.2f} {spent / steps["all"]:8.0%}')
    each = 0.0
    for workers in args.workers:
        found = time_loader(cfg, workers, args.seconds)
        each = max(each, found / max(workers, 1))
        print(f'loader, {workers} worker(s): {found:.0f} images/s')
    if not args.no_network:
        torch.set_num_threads(threads)
        network = time_training(cfg, args.seconds, args.batch_size)
        print(f'network, training steps: {network:.0f} images/s')
        print(f'workers that keep it busy: {math.ceil(network / each)}')


if __name__ == '__main__':
    cli_main(main)
