"""Measure how fast a config's pictures are loaded, and what its network could take.

Examples:
    python tools/analysis_tools/benchmark_pipeline.py configs/ghostnetv2_imagenet.py
    python tools/analysis_tools/benchmark_pipeline.py CONFIG --workers 1 2 4 --seconds 20
    python tools/analysis_tools/benchmark_pipeline.py CONFIG --no-network \
        --cfg-options train_dataloader.dataset.data_root=data/other
"""

import argparse
import math

import torch

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis.loading_speed import (
    check_loader,
    time_loader,
    time_steps,
    time_training,
)
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import run_door


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument(
        '--workers',
        type=int,
        nargs='+',
        default=[1],
        help='numbers of loading processes to try (default: 1)',
    )
    parser.add_argument(
        '--seconds', type=float, default=10, help='for each figure (default: 10)'
    )
    parser.add_argument(
        '--batch-size', type=int, help="for the network; default: the config's"
    )
    parser.add_argument(
        '--no-network', action='store_true', help='measure the loading only'
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check_loader(cfg)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a loading process
    steps = time_steps(cfg, seconds=args.seconds)
    whole = sum(step.milliseconds for step in steps)
    print('step                            ms a picture   share')
    for step in steps:
        share = step.milliseconds / whole
        print(f'{step.name:30} {step.milliseconds:12.2f} {share:8.0%}')
    print(f'{"all":30} {whole:12.2f}    {1e3 / whole:.0f} pictures/s a core')
    rates = {}
    for workers in args.workers:
        rates[workers] = time_loader(cfg, workers, seconds=args.seconds)
        print(f'loader, {workers} worker(s): {rates[workers]:.0f} pictures/s')
    if args.no_network:
        return
    torch.set_num_threads(threads)
    network = time_training(cfg, args.seconds, args.batch_size)
    print(f'network, training steps: {network:.0f} pictures/s')
    each = max(rate / max(workers, 1) for workers, rate in rates.items())
    print(f'workers that keep it busy: {math.ceil(network / each)}')


if __name__ == '__main__':
    run_door(main)
