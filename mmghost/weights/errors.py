"""The one error of this package, for the person at the terminal."""

from ..errors import UserError


class WeightsError(UserError):
    """A weight file cannot be used as asked. Nothing was loaded from it."""
