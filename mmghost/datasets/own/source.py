"""Values and comments as the lines of a config that a person reads."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any


def source(value: Any, indent: int = 0, before: int = 0) -> str:
    """Write a value as a config does: ``dict(...)``, broken where it grows long.

    Args:
        value: What to write.
        indent: Indentation of the line that it begins in.
        before: How many characters stand before it in that line.
    """
    flat = _flat(value)
    if len(flat) + indent + before <= 86 or not isinstance(value, dict | list | tuple):
        return flat
    pad = ' ' * (indent + 4)
    if isinstance(value, dict):
        inner = [
            f'{pad}{key}={source(item, indent + 4, len(key) + 1)}'
            for key, item in value.items()
        ]
        return 'dict(\n' + ',\n'.join(inner) + ')'
    left, right = '[]' if isinstance(value, list) else '()'
    inner = [f'{pad}{source(item, indent + 4)}' for item in value]
    return f'{left}\n' + ',\n'.join(inner) + f',\n{" " * indent}{right}'


class Code(str):
    """An expression that is written as it is, such as ``len(classes)``."""


def _flat(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, Mapping):
        return f'dict({", ".join(f"{k}={_flat(v)}" for k, v in value.items())})'
    if isinstance(value, list):
        return f'[{", ".join(map(_flat, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(_flat, value))}{"," * (len(value) == 1)})'
    return repr(value)


def comment(lines: Sequence[str]) -> str:
    """Write lines as comments, broken at 88 characters."""
    return '\n'.join(
        textwrap.fill(line, 88, initial_indent='# ', subsequent_indent='#   ')
        for line in lines
    )


def assign(**values: Any) -> str:
    """Write ``name = value`` lines."""
    return '\n'.join(
        f'{name} = {source(value, before=len(name) + 3)}'
        for name, value in values.items()
    )
