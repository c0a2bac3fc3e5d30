"""The tools run on the Shapes of the engine's tests."""

from tests.engine.conftest import no_trace_of_other_runners, shapes  # noqa: F401
