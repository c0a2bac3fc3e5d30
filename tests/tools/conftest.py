"""The tools run in the root of the clone, on the Shapes of the engine's tests."""

import pytest

from tests.conftest import ROOT
from tests.engine.conftest import (  # noqa: F401
    no_trace_of_other_runners,
    quick_runners,
    shapes,
    trained,
)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
