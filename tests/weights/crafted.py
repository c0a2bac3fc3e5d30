"""Pickled calls, which a reader that runs code makes: each would create a file."""

import argparse
import os
from typing import Any

TRACE = 'code_was_run'


class Call:
    """Is pickled as the call of a function, itself perhaps a pickled call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple:
        return self.function, self.arguments

    def __call__(self) -> None:
        """Make pickle take it for a function."""


# `eval`, reached by attributes of a class that the checkpoints of timm hold.
_names = Call(getattr, Call(getattr, argparse.Namespace, '__init__'), '__globals__')
_builtins = Call(Call(getattr, _names, 'get'), '__builtins__')
_eval = Call(Call(getattr, _builtins, 'get'), 'eval')
ATTACKS = {
    'os.system': Call(os.system, f'touch {TRACE}'),
    'getattr': Call(_eval, f"open('{TRACE}', 'w')"),
}
