"""Times are compared turn by turn, and memory is what tensors take at once."""

import time

import pytest
import torch

from mmghost.analysis.timing import interleave, peak_memory


def test_ratios_are_those_of_the_times():
    calls = {'fast': lambda: time.sleep(0.002), 'slow': lambda: time.sleep(0.02)}
    times = interleave(calls, 'slow', turns=5, burst=0)
    assert times['slow'].ratio == 1
    # sleep() may oversleep on a busy machine, never wake early
    assert times['slow'].median >= 20
    assert times['fast'].ratio > 1
    assert times['fast'].low <= times['fast'].median <= times['fast'].high


def test_calls_take_turns_and_none_is_always_first():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in 'abc'}
    interleave(calls, turns=20, burst=0, warmup=0)
    # Two calls each to learn how long they take; in a turn, one before the timed one.
    turns = [order[i : i + 6] for i in range(6, len(order), 6)]
    assert len(turns) == 20
    assert all(turn[::2] == turn[1::2] for turn in turns)
    turns = [turn[::2] for turn in turns]
    assert all(sorted(turn) == ['a', 'b', 'c'] for turn in turns)
    assert len({turn[0] for turn in turns}) == 3


def test_an_unknown_reference_is_refused():
    with pytest.raises(ValueError, match="reference='c' must be one of a, b"):
        interleave({'a': int, 'b': int}, 'c')


def test_peak_memory_is_what_tensors_take_at_once():
    def call():
        a = torch.empty(1 << 20)  # 4 MiB
        b = torch.empty(1 << 20)
        del a, b
        torch.empty(1 << 19)

    assert peak_memory(call) == 8 << 20
    assert peak_memory(call, held=5) == (8 << 20) + 5
