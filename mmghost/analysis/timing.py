"""Time networks side by side: interleaved, warmed up, medians with spread and ratios.

A machine's clock, its neighbours and its allocator change from minute to minute; two
networks timed one after the other differ by more than many an improvement. Here all of
them are in memory at once and take turns, and a ratio is that of two times taken in the
same turn.
"""

import contextlib
import gc
import platform
import random
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import torch

Call = Callable[[], Any]


class Timing(NamedTuple):
    """How long one call takes.

    Attributes:
        median: Of all turns, in ms.
        low: First quartile, in ms.
        high: Third quartile, in ms.
        ratio: How many times faster than the reference, as the median of the ratios
            turn by turn; None without a reference.
        ratio_low: First quartile of those ratios.
        ratio_high: Third quartile of those ratios.
    """

    median: float
    low: float
    high: float
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


def interleave(
    calls: Mapping[Hashable, Call],
    reference: Hashable | None = None,
    turns: int = 30,
    seconds: float | None = None,
    burst: float = 0.05,
    warmup: int = 3,
    seed: int = 0,
) -> dict[Hashable, Timing]:
    """Time calls turn by turn, each turn in an order of its own.

    A turn begins with a call that is not timed, for the caches are full of what the
    others left there.

    Args:
        calls: What to time, by name. A call on a GPU must synchronise.
        reference: The name that the others are compared with.
        turns: How often each has its turn.
        seconds: Fewer turns, at least 5, where they would take longer than this.
        burst: A turn repeats a short call until it has lasted so long, in s; the time of
            the turn is the mean.
        warmup: Calls before the first turn.
        seed: Of the order.

    Returns:
        The times by name.

    Raises:
        ValueError: If the reference is none of the calls.
    """
    if reference is not None and reference not in calls:
        raise ValueError(
            f'reference={reference!r} must be one of {", ".join(map(str, calls))}, or None'
        )
    repeats = {}
    for name, call in calls.items():
        for _ in range(warmup):
            call()
        once = min(_clock(call, 1) for _ in range(2))
        repeats[name] = max(1, round(burst / max(once, 1e-9)))
    times: dict[Hashable, list[float]] = {name: [] for name in calls}
    order = list(calls)
    shuffle = random.Random(seed).shuffle
    began = time.perf_counter()
    with _no_collection():
        for turn in range(turns):
            shuffle(order)
            for name in order:
                calls[name]()
                times[name].append(_clock(calls[name], repeats[name]))
            late = seconds is not None and time.perf_counter() - began > seconds
            if late and turn >= 4:
                break
    return {
        name: _timing(taken, times[reference] if reference else None)
        for name, taken in times.items()
    }


def _clock(call: Call, repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out of the measurement."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _timing(times: Sequence[float], reference: Sequence[float] | None) -> Timing:
    low, median, high = (1e3 * value for value in statistics.quantiles(times, n=4))
    if reference is None:
        return Timing(median, low, high)
    ratios = [theirs / ours for theirs, ours in zip(reference, times)]
    first, middle, third = statistics.quantiles(ratios, n=4)
    return Timing(median, low, high, middle, first, third)


def peak_memory(call: Call, held: int = 0, device: str = 'cpu') -> int:
    """Tell how much memory tensors take at the worst moment of a call.

    On the CPU PyTorch's allocations are followed one by one, so the figure does not
    depend on what the process did before; scratch memory that oneDNN takes for itself
    is not in it. On a GPU it is the allocator's own peak, less what was there before.

    Args:
        call: What to measure; it should have run once, so that what it keeps is there.
        held: Bytes to add for what was allocated before, weights for one.
        device: ``'cpu'`` or ``'cuda'``.

    Returns:
        Bytes.
    """
    if device == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return held + torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        call()
    changes = sorted(
        (event.start_ns() if hasattr(event, 'start_ns') else event.start_us(), i, event)
        for i, event in enumerate(profile.profiler.kineto_results.events())
        if event.name() == '[memory]'
    )
    level = peak = 0
    for *_, event in changes:
        level += event.nbytes()
        peak = max(peak, level)
    return held + peak


def machine() -> dict[str, Any]:
    """Describe what the times were taken on."""
    versions = {}
    for name in ('torch', 'timm', 'onnxruntime', 'openvino', 'mmpretrain'):
        with contextlib.suppress(ImportError):
            versions[name] = __import__(name).__version__.split('+')[0]
    found = {
        'date': date.today().isoformat(),
        'processor': _processor(),
        'threads': torch.get_num_threads(),
        'system': f'{platform.system()}, Python {platform.python_version()}',
        'versions': versions,
    }
    if torch.cuda.is_available():
        found['gpu'] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open('/proc/cpuinfo') as file:
        for line in file:
            if line.startswith('model name'):
                name = line.split(':', 1)[1].strip()
                break
    return f'{name} ({capability})'
