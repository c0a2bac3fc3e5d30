"""What a check finds, and problems that any file can have."""

import codecs
import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError, did_you_mean


class Problem(NamedTuple):
    """Something that would spoil a training.

    Args:
        where: The file, or the place in the config.
        what: What is wrong there, with the value.
        remedy: What to do about it.
        fatal: Whether the training must not start.
    """

    where: str
    what: str
    remedy: str = ''
    fatal: bool = True

    def __str__(self) -> str:
        """One line for the terminal."""
        return f'{self.where}: {self.what}' + f' - {self.remedy}' * bool(self.remedy)


def raise_if_fatal(
    problems: Iterable[Problem], note: Callable[[str], None] = print
) -> None:
    """Raise a UserError with the fatal problems; pass the others to ``note``, a line each."""
    problems = list(problems)
    for problem in problems:
        if not problem.fatal:
            note(f'preflight: {problem}')
    fatal = [str(problem) for problem in problems if problem.fatal]
    if len(fatal) == 1:
        raise UserError(fatal[0])
    if fatal:
        more = [f'and {len(fatal) - 20} more'] * (len(fatal) > 20)
        first = f'{len(fatal)} problems to fix first:'
        raise UserError('\n  '.join([first, *fatal[:20], *more]))


def near_file(path: str) -> str:
    """Return a hint with files in the same folder whose names are close to a path's."""
    folder, name = os.path.split(path.rstrip('/'))
    folder = folder or '.'
    return did_you_mean(name, os.listdir(folder)) if os.path.isdir(folder) else ''


def missing_file(path: str, where: str) -> Problem:
    """Return the problem that a file does not exist."""
    return Problem(where, f'there is no file {path}{near_file(path)}')


def check_text(path: str) -> Problem | None:
    """Check that a file is UTF-8 text without a byte order mark, as the toolboxes read it."""
    content, name = Path(path).read_bytes(), shlex.quote(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        what = 'is UTF-16 text, as PowerShell writes it'
        remedy = f'iconv -f UTF-16 -t UTF-8 {name} > NEW_FILE'
    elif content.startswith(codecs.BOM_UTF8):
        what = 'begins with a byte order mark, which the toolboxes take for text'
        remedy = f"sed -i '1s/^\\xEF\\xBB\\xBF//' {name}"
    else:
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b'\n', 0, error.start) + 1
            what = f'is not UTF-8 text (line {line})'
            remedy = f'from a Chinese Windows: iconv -f GBK -t UTF-8 {name} > NEW_FILE'
        else:
            return None
    return Problem(path, what, f'save it as UTF-8 without BOM: {remedy}')
