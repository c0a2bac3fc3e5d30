"""Errors for the person at the terminal: the class, the helping words, the tools' door."""

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


class UserError(Exception):
    """Something that the person at the terminal can mend: the tools print it and stop."""


def near(name: str, names: Iterable[str], count: int = 3) -> str:
    """Name what may have been meant.

    Args:
        name: The name that nothing is known by.
        names: What is known.
        count: How many to name at most.

    Returns:
        ``'; did you mean A or B?'``, or nothing where no name is near.
    """
    wanted = name.lower()
    scored = []
    for known in names:
        score = difflib.SequenceMatcher(None, wanted, known.lower()).ratio()
        if score >= 0.6:
            scored.append((-score, -same_start(wanted, known.lower()), known))
    found = [known for *_, known in sorted(scored)[:count]]
    return f'; did you mean {" or ".join(found)}?' if found else ''


def same_start(a: str, b: str) -> int:
    """Count the letters that two words begin with alike."""
    pairs = enumerate(zip(a, b))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def examples(names: Sequence[Any], count: int = 3) -> str:
    """Name the first few of many."""
    shown = ', '.join(str(name) for name in names[:count])
    return shown if len(names) <= count else f'{shown} and {len(names) - count} more'


def why_no_file(path: str | os.PathLike) -> str:
    """Say what is wrong with a path that should name a file of weights and names none.

    Args:
        path: Where there is nothing, or a folder.

    Returns:
        What follows behind the path: that it is a folder, with the names of checkpoints
        in it; or that nothing is there, with a file beside it that may have been meant.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(found.name for found in path.glob('*.pth'))
        holds = f', such as {examples(files)}' if files else ''
        return f'is a folder; name a file in it{holds}'
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    hint = near(path.name, (found.name for found in beside), 1)
    seen = '' if path.is_absolute() else f' (seen from {Path.cwd()})'
    return f'there is no such file{seen}{hint}'


def run_door(main: Any, interrupted: str = 'interrupted') -> None:
    """Run a tool's ``main``: a :class:`UserError` ends it with one message and status 1.

    So does a file that cannot be read or written, which the error names.

    Args:
        main: The function to call; what it returns is dropped.
        interrupted: What to say where the person stops it, with status 130, and the
            interruption itself says nothing.
    """
    try:
        main()
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.filename is None or os.environ.get('MMGHOST_TRACEBACK') == '1':
            raise
        words = error.strerror or type(error).__name__
        print(
            f'error: {os.fsdecode(error.filename)}: {words}\n'
            '(MMGHOST_TRACEBACK=1 shows where in the code)',
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt as stopped:
        print(str(stopped) or interrupted, file=sys.stderr)
        sys.exit(130)
