"""Is the data that a config needs there, and whole? Told before a week of GPU time."""

import argparse
import math
import sys
from collections.abc import Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.checks.preflight import preflight
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import UserError, cli_main

EXAMPLES = """
examples:
  annotations, and the beginning and end of every picture:
      python tools/dataset_tools/check_dataset.py configs/retinanet_ghostnetv2_coco.py
  decode every picture, too:
      python tools/dataset_tools/check_dataset.py CONFIG --full
  only what a test needs, elsewhere:
      python tools/dataset_tools/check_dataset.py CONFIG --loaders test \\
          --cfg-options test_dataloader.dataset.data_root=PATH
status 1: something must be mended first; 0: a training can start
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
        '--full', action='store_true', help='decode every picture, not only its ends'
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
    lacking = [name for name in args.loaders or () if name not in loaders]
    if lacking or not loaders:
        name = lacking[0] if lacking else 'train'
        raise UserError(f'{args.config} has no {name}_dataloader')
    columns = ('{task.description}', BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn()) as bar:
        tasks: dict[str, int] = {}

        def show(path: str, done: int, total: int) -> None:
            if path not in tasks:
                tasks[path] = bar.add_task(path.split('.')[0], total=total)
            bar.update(tasks[path], completed=done)

        problems = preflight(
            cfg,
            loaders,
            picture_seconds=math.inf,
            note=lambda line: bar.print(line.removeprefix('preflight: ')),
            decode=args.full,
            progress=show,
        )
    for problem in problems:
        print(f'{"error" if problem.fatal else "note"}: {problem}')
    if any(problem.fatal for problem in problems):
        sys.exit(1)
    verdict = (
        'nothing is broken; see the notes'
        if problems
        else 'the data are there and whole'
    )
    print(f'{", ".join(loaders)}: {verdict}')


if __name__ == '__main__':
    cli_main(main)
