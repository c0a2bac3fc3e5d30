"""Forget the default scopes that datasets leave behind."""

import pytest

from tests.engine.toys import forget_runners


@pytest.fixture(autouse=True)
def no_trace_of_other_configs():
    yield
    forget_runners()
