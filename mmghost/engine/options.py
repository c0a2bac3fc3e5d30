"""Flags that several doors have, and the shape of a config after --cfg-options."""

import os
import re
from argparse import SUPPRESS, ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config, DictAction

from ..errors import UserError


class CfgOptions(DictAction):
    """mmengine's ``KEY=VALUE ...``, which says what is wrong instead of failing."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the settings to those that were given before.

        Raises:
            ArgumentError: If one of them cannot be read.
        """
        for text in values or ():
            key, sign, value = text.partition('=')
            if not sign or not all(key.split('.')):
                raise ArgumentError(
                    self,
                    f'{text!r} is not KEY=VALUE, such as model.backbone.init_cfg=None',
                )
            try:
                self._parse_iterable(value)
            except (AssertionError, RecursionError):  # not as many, or not in order
                raise ArgumentError(
                    self, f'{text!r}: the brackets do not match'
                ) from None
        super().__call__(parser, namespace, values, option_string)


def add_cfg_options(
    parser: ArgumentParser, what: str = 'the config', such_as: str = ''
) -> None:
    """Give a door the flag ``--cfg-options``.

    Args:
        parser: The door's.
        what: Whose settings these are, for the help.
        such_as: Examples, for the help.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        help=f'override settings of {what}' + (f', e.g. {such_as}' if such_as else ''),
    )


def option_key(path: str) -> str:
    """Turn a place in a config into a key of ``--cfg-options``: ``a[0].b`` to ``a.0.b``."""
    return re.sub(r'\[(\d+)\]', r'.\1', path)


def parse_launched(parser: ArgumentParser, scripts: str) -> Namespace:
    """Parse the command line of a door that several processes may have been started at.

    Args:
        parser: The door's; it gets the flags of launchers.
        scripts: Which scripts set ``--launcher``, for the help.

    Returns:
        The arguments. The variable ``LOCAL_RANK`` is set.
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
    return args


def merge(cfg: Config, options: dict[str, Any]) -> None:
    """Merge settings into a config, in place.

    Args:
        cfg: The config.
        options: Values by dotted keys; the numbers among these count in lists.

    Raises:
        UserError: If a key leads through something that has no settings.
    """
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, AssertionError, IndexError, AttributeError) as error:
        for key in options:
            node: Any = cfg
            *folders, _ = key.split('.')
            for i, folder in enumerate(folders):
                try:
                    node = node[int(folder) if isinstance(node, list) else folder]
                except (KeyError, IndexError, ValueError):
                    break
                if not isinstance(node, dict | list):
                    place = '.'.join(folders[: i + 1])
                    raise UserError(
                        f'--cfg-options {key}: {place} is {node!r}, nothing that has '
                        'settings of its own'
                    ) from None
        raise UserError(f'--cfg-options do not fit {cfg.filename}: {error}') from None


# What the parts at the top of a config are, and those just below that are read before
# anything is built. Deeper down, building tells what is wrong.
# fmt: off
KINDS: dict[str, tuple[type | None, ...]] = {
    'model': (dict,),
    'model.backbone': (dict, None),
    'model.data_preprocessor': (dict, None),
    'data_preprocessor': (dict, None),
    **{f'{name}_dataloader': (dict, None) for name in ('train', 'val', 'test')},
    **{f'{name}_dataloader.dataset': (dict,) for name in ('train', 'val', 'test')},
    **{f'{name}_cfg': (dict, None) for name in ('train', 'val', 'test')},
    **{f'{name}_evaluator': (dict, list, None) for name in ('val', 'test')},
    'optim_wrapper': (dict, None),
    'auto_scale_lr': (dict, None),
    'param_scheduler': (dict, list, None),
    'default_hooks': (dict, None),
    'default_hooks.preflight': (dict, None),
    'custom_hooks': (list, None),
    'env_cfg': (dict,),
    'env_cfg.dist_cfg': (dict,),
    'env_cfg.mp_cfg': (dict,),
    'log_processor': (dict, None),
    'visualizer': (dict, None),
    'randomness': (dict,),
    'model_wrapper_cfg': (dict, None),
    'work_dir': (str, None),
    'load_from': (str, None),
    'resume': (bool,),
    'log_level': (str, int),
    'experiment_name': (str, None),
}
# fmt: on
_WORDS = {
    dict: 'a dict',
    list: 'a list of dicts',
    str: 'text',
    int: 'a number',
    bool: 'True or False',
    None: 'None',
}  # fmt: skip


def check_kinds(cfg: Config) -> None:
    """Check that the parts of a config are dicts, lists or names where they must be.

    Args:
        cfg: The config, all options merged.

    Raises:
        UserError: Naming the first part that is something else.
    """
    for path, kinds in KINDS.items():
        *folders, key = path.split('.')
        parent: Any = cfg
        for folder in folders:
            parent = parent.get(folder) or {}
        if key not in parent:
            continue
        value = parent[key]
        parts = [(path, value)]
        if isinstance(value, list | tuple) and list in kinds:
            parts = [(f'{path}[{i}]', item) for i, item in enumerate(value)]
            kinds = (dict,)
        for place, part in parts:
            if not any(
                part is None if kind is None else isinstance(part, kind)
                for kind in kinds
            ):
                words = ' or '.join(_WORDS[kind] for kind in kinds)
                raise UserError(f'{place} = {part!r}: it must be {words}')
