"""Check that the data a config needs is there and whole, before hours of GPU time."""

import argparse
import math
import sys
from collections.abc import Sequence

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.checks import preflight
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import UserError, cli_main

EXAMPLES = """
examples:
  annotations, and the beginning and end of every image:
      python tools/dataset_tools/check_dataset.py configs/retinanet_ghostnetv2_coco.py
  decode every image, too:
      python tools/dataset_tools/check_dataset.py CONFIG --full
  only what a test needs, elsewhere:
      python tools/dataset_tools/check_dataset.py CONFIG --loaders test \\
          --cfg-options test_dataloader.dataset.data_root=PATH
status 1: something must be fixed first; 0: a training can start
"""


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument(
        '--full', action='store_true', help='decode every image, not only its ends'
    )
    parser.add_argument(
        '--loaders',
        nargs='+',
        choices=['train', 'val', 'test'],
        help='which data to check (default: all that the config has)',
    )
    add_cfg_options(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the data of the config that the command line names."""
    args = parse_args(arguments)
    cfg = load_config(args.config, args.cfg_options)
    wanted = args.loaders or ('train', 'val', 'test')
    loaders = [name for name in wanted if cfg.get(f'{name}_dataloader') is not None]
    if not loaders or (args.loaders and loaders != args.loaders):
        missing = next(name for name in wanted if name not in loaders)
        raise UserError(f'{args.config} has no {missing}_dataloader')
    problems = preflight(
        cfg,
        loaders,
        image_seconds=math.inf,
        note=lambda line: print(line.removeprefix('preflight: ')),
        decode=args.full,
    )
    for problem in problems:
        print(f'{"error" if problem.fatal else "note"}: {problem}')
    if any(problem.fatal for problem in problems):
        sys.exit(1)
    verdict = 'see the notes' if problems else 'the data is there and whole'
    print(f'{", ".join(loaders)}: {verdict}')


if __name__ == '__main__':
    cli_main(main)
