"""Errors for users, the hints in their messages, and the entry point of the tools."""

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any


class UserError(Exception):
    """An error that the user can fix: the tools print its message without a traceback."""


class WeightsError(UserError):
    """A weight file cannot be read, or does not fit the network."""


def did_you_mean(name: str, names: Iterable[str], count: int = 3) -> str:
    """Return a hint that names the known names close to a wrong one.

    Args:
        name: The wrong name.
        names: The known names.
        count: The largest number of names in the hint.

    Returns:
        ``'; did you mean A or B?'``, or an empty string if no name is close.
    """
    known = {str(n).lower(): str(n) for n in names}
    close = difflib.get_close_matches(name.lower(), known, n=count)
    return f'; did you mean {" or ".join(known[n] for n in close)}?' if close else ''


def near_file(path: str) -> str:
    """Return a hint with files in the same folder whose names are close to a path's."""
    return did_you_mean(Path(path).name, (f.name for f in Path(path).parent.glob('*')))


def examples(names: Sequence[Any], count: int = 3) -> str:
    """Return the first names of a sequence as text, and how many more there are."""
    shown = ', '.join(map(str, names[:count]))
    more = len(names) - count
    return f'{shown} and {more} more' if more > 0 else shown


def cli_main(main: Callable[[], Any], interrupted: str = 'interrupted') -> None:
    """Run the ``main`` function of a tool and turn errors into exit codes.

    A :class:`UserError`, or an OSError that names a file, prints one message and exits
    with status 1; Ctrl-C exits with status 130. ``MMGHOST_TRACEBACK=1`` shows the
    traceback instead.

    Args:
        main: The function to call.
        interrupted: Message after Ctrl-C.
    """
    try:
        main()
    except (UserError, OSError) as error:
        file = getattr(error, 'filename', None)
        unnamed = file is None and isinstance(error, OSError)
        if unnamed or os.environ.get('MMGHOST_TRACEBACK') == '1':
            raise
        place = '' if file is None else f'{os.fsdecode(file)}: '
        reason = getattr(error, 'strerror', None) or error
        print(f'error: {place}{reason}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as stopped:
        print(str(stopped) or interrupted, file=sys.stderr)
        sys.exit(130)
