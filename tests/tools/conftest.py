"""The tools run in the root of the clone."""

import pytest

from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
