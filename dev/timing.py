"""Time networks side by side: interleaved, with medians, quartiles and ratios.

The clock and the neighbors of a machine change from minute to minute: two networks timed
one after the other differ by more than many an improvement. Here they take turns, and a
ratio is that of two times of the same turn.
"""

import contextlib
import platform
import random
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import torch

Call = Callable[[], Any]
Clock = Callable[[int], float]  # number of calls -> mean seconds of one


class Timing(NamedTuple):
    """Time of one call.

    Attributes:
        median: Of all turns, in ms.
        low: First quartile, in ms.
        high: Third quartile, in ms.
        speedup: Over the reference, the median of the ratios turn by turn; None without
            a reference.
        speedup_low: First quartile of the ratios.
        speedup_high: Third quartile of the ratios.
    """

    median: float
    low: float
    high: float
    speedup: float | None = None
    speedup_low: float | None = None
    speedup_high: float | None = None


def timed(call: Call, repeats: int) -> float:
    """Return the mean seconds of a call.

    A call that is not timed comes first: the caches are full of what the others left.
    """
    call()
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def interleave(
    clocks: Mapping[Hashable, Clock],
    reference: Hashable | None = None,
    turns: int = 30,
    seconds: float = 60,
    burst: float = 0.05,
) -> dict[Hashable, Timing]:
    """Time calls turn by turn, each turn in a random order.

    Args:
        clocks: What to time, by name; each is given a number of calls and returns the mean seconds of one.
        reference: The name that the others are compared with.
        turns: Number of turns.
        seconds: Stop after this time, but not before 5 turns.
        burst: Repeat a short call for so many seconds; the mean is the time of the turn.

    Returns:
        The times by name.
    """
    repeats = {}
    for name, clock in clocks.items():
        clock(2)  # warm up
        repeats[name] = max(1, round(burst / clock(1)))
    times: dict[Hashable, list[float]] = {name: [] for name in clocks}
    order = list(clocks)
    shuffle = random.Random(0).shuffle
    end = time.perf_counter() + seconds
    for turn in range(turns):
        shuffle(order)
        for name in order:
            times[name].append(clocks[name](repeats[name]))
        if turn >= 4 and time.perf_counter() > end:
            break
    return {
        name: timing(taken, times[reference] if reference is not None else None)
        for name, taken in times.items()
    }


def timing(times: Sequence[float], reference: Sequence[float] | None) -> Timing:
    """Return medians and quartiles of times, and of their ratios to a reference."""
    low, median, high = (1e3 * value for value in statistics.quantiles(times, n=4))
    if reference is None:
        return Timing(median, low, high)
    ratios = [theirs / ours for theirs, ours in zip(reference, times)]
    first, middle, third = statistics.quantiles(ratios, n=4)
    return Timing(median, low, high, middle, first, third)


def machine() -> dict[str, Any]:
    """Describe what the times were taken on."""
    versions = {}
    for name in ('torch', 'timm', 'onnxruntime', 'openvino', 'mmpretrain'):
        with contextlib.suppress(ImportError):
            versions[name] = __import__(name).__version__.split('-')[0].split('+')[0]
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open('/proc/cpuinfo') as file:
        names = [
            line.split(':', 1)[1] for line in file if line.startswith('model name')
        ]
        processor = names[0].strip() if names else processor
    found = {
        'date': date.today().isoformat(),
        'processor': f'{processor} ({torch.backends.cpu.get_cpu_capability()})',
        'threads': torch.get_num_threads(),
        'system': f'{platform.system()}, Python {platform.python_version()}',
        'versions': versions,
    }
    if torch.cuda.is_available():
        found['gpu'] = torch.cuda.get_device_name()
    return found
