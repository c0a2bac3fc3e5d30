"""Default scopes that datasets leave behind are forgotten."""

from tests.engine.conftest import no_trace_of_other_runners  # noqa: F401 - autouse
