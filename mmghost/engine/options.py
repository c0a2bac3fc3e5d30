"""Flags that several tools share."""

import os
from argparse import SUPPRESS, ArgumentError, ArgumentParser, Namespace
from typing import Any

from mmengine.config import DictAction


class CfgOptions(DictAction):
    """mmengine's ``KEY=VALUE ...``, with an error of argparse for text it cannot read."""

    def __call__(self, parser: ArgumentParser, *args: Any) -> None:
        """Add the settings, or raise an ArgumentError."""
        try:
            super().__call__(parser, *args)
        except (ValueError, AssertionError, RecursionError):
            words = f'{" ".join(args[1])!r} is not KEY=VALUE with matching brackets, '
            words += 'such as model.backbone.init_cfg=None'
            raise ArgumentError(self, words) from None


def add_cfg_options(
    parser: ArgumentParser, what: str = 'the config', such_as: str = ''
) -> None:
    """Add ``--cfg-options`` to a tool; its help names whose settings, and examples."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        help=f'override settings of {what}' + (f', e.g. {such_as}' if such_as else ''),
    )


def parse_launched(parser: ArgumentParser, scripts: str) -> Namespace:
    """Parse the command line of a tool that ``scripts`` start in several processes.

    The variable ``LOCAL_RANK`` is set.
    """
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help=f'what started the processes; {scripts} set it',
    )
    # Older launchers pass the rank as an argument, torchrun as a variable.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=SUPPRESS
    )
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    del args.local_rank  # what is left are arguments of load_config and prepare_*
    return args
