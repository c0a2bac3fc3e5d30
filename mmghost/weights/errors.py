"""The one error of this package, for the person at the terminal."""

from collections.abc import Sequence

from ..engine.errors import UserError


class WeightsError(UserError):
    """A weight file cannot be used as asked. Nothing was loaded from it."""


def examples(names: Sequence[str], count: int = 3) -> str:
    """Name the first few of many."""
    shown = ', '.join(names[:count])
    return shown if len(names) <= count else f'{shown} and {len(names) - count} more'
