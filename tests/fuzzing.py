"""Properties that hold for whatever input hypothesis thinks of.

`make test` tries few inputs, always the same ones, so that no run of it is a lottery;
`make test-all` tries many, and new ones each time.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# What people and scripts put where something else belongs.
JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 10**9, 10**30, 0.5, -0.5, 1e300, float('nan'),
    float('inf'), '', 'BN', '1', '(1, 2)', b'x', (), [], {}, (1, 1), [None], ['1'],
    {'type': None}, {'type': 3}, {'type': 'NoSuch'}, {'typ': 'BN'}, {1: 2}, object(),
    {1}, 1j, print,
)  # fmt: skip


def depths(quick: int, deep: int) -> pytest.MarkDecorator:
    """Run a test with ``examples`` inputs: a few, and in the slow ones many."""
    # Hundreds of inputs take minutes, on a busy machine longer than any test may hang.
    marks = [pytest.mark.slow, pytest.mark.timeout(3600)]
    return pytest.mark.parametrize(
        'examples',
        [quick, pytest.param(deep, marks=marks)],
        ids=['quick', 'deep'],
    )


def fuzz(examples: int, holds: Callable[..., None], *inputs: st.SearchStrategy) -> None:
    """Try a property on inputs.

    Args:
        examples: How many inputs to try.
        holds: Raises where the property does not hold.
        inputs: What its arguments are drawn from.
    """
    settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples <= 100,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )(given(*inputs)(holds))()
