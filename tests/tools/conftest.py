"""The tools run on the Shapes of the engine's tests."""

from tests.engine.conftest import (  # noqa: F401
    no_trace_of_other_runners,
    quick_runners,
    shapes,
    trained,
)
