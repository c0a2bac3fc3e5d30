"""What a check finds, and problems that any file can have."""

import codecs
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError


class Problem(NamedTuple):
    """What would spoil a training: where, what with the remedy, whether it stops it."""

    where: str
    what: str
    fatal: bool = True

    def __str__(self) -> str:
        """One line for the terminal."""
        return f'{self.where}: {self.what}'


def raise_if_fatal(
    problems: Iterable[Problem], note: Callable[[str], None] = print
) -> None:
    """Raise a UserError with the fatal problems; pass the others to ``note``, a line each."""
    problems = list(problems)
    for problem in problems:
        if not problem.fatal:
            note(f'preflight: {problem}')
    fatal = [str(problem) for problem in problems if problem.fatal]
    if fatal:
        head = [f'{len(fatal)} problems to fix first:'] * (len(fatal) > 1)
        raise UserError('\n  '.join([*head, *fatal]))


def check_text(path: str) -> Problem | None:
    """Check that a file is UTF-8 text without a byte order mark, as the toolboxes read it."""
    content = Path(path).read_bytes()
    what, how = 'is UTF-16 text', 'iconv -f UTF-16 -t UTF-8 {} > NEW_FILE'
    if content.startswith(codecs.BOM_UTF8):
        what, how = 'begins with a byte order mark', r"sed -i '1s/^\xEF\xBB\xBF//' {}"
    elif not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            content.decode()
            return None
        except UnicodeDecodeError:
            what = 'is not UTF-8 text'
            how = 'from a Chinese Windows: iconv -f GBK -t UTF-8 {} > NEW_FILE'
    remedy = f'save it as UTF-8 without BOM: {how.format(shlex.quote(path))}'
    return Problem(path, f'{what} - {remedy}')
