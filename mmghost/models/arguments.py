"""Checks of the arguments that networks are built with.

Each raises a ValueError or TypeError that names the argument, its value and what is
allowed.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import WEIGHT_INITIALIZERS

from .layers import Cfg, act, conv, norm

# Widths from here on are slips of the finger (130 for 1.3), and exhaust the memory.
MAX_WIDTH = 16
MAX_CHANNELS = 2**16
# Larger than any map that there is; past it, memory would run out.
MAX_KERNEL_SIZE = 1023


def check_cfg(name: str, cfg: Cfg | None, optional: bool = False) -> None:
    """Raise a TypeError unless ``cfg`` is a dict with a ``type`` (or None)."""
    if cfg is None and optional:
        return
    if not isinstance(cfg, dict) or 'type' not in cfg:
        allowed = "a dict with the key 'type'" + (' or None' if optional else '')
        raise TypeError(f'{name} must be {allowed}, got {cfg!r}')


def check_init_cfg(name: str, cfg: Any) -> None:
    """Raise unless ``cfg`` is what mmengine can initialise by: nothing, one or several.

    Raises:
        TypeError: If it is no dict with a ``type``, and no list of such.
        ValueError: If there is no such initialisation.
    """
    if cfg is None or cfg == {}:
        return
    for one in cfg if isinstance(cfg, list | tuple) else [cfg]:
        if not isinstance(one, dict) or not isinstance(one.get('type'), str | type):
            raise TypeError(
                f"{name} must be None, a dict with the key 'type', or a list of such; "
                f'got {cfg!r}'
            )
        kind = one['type']
        if isinstance(kind, str) and WEIGHT_INITIALIZERS.get(kind) is None:
            raise ValueError(f'{name}={cfg!r}: there is no initialisation {kind!r}')


def check_choice(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raise a ValueError unless ``value`` is one of ``allowed``."""
    # `in` alone would let True pass for 1, and 2.0 for 2.
    if not any(type(value) is type(a) and value == a for a in allowed):
        choices = ', '.join(repr(a) for a in allowed)
        raise ValueError(f'{name} must be one of {choices}; got {value!r}')


def check_bool(name: str, value: Any) -> None:
    """Raise a TypeError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f'{name} must be True or False, got {value!r}')


def check_int(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise unless ``value`` is an int with ``low <= value <= high``.

    Raises:
        TypeError: If it is no int (True and False are none here).
        ValueError: If it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be an int, got {value!r}')
    if value < low or (high is not None and value > high):
        allowed = f'at least {low}' if high is None else f'between {low} and {high}'
        raise ValueError(f'{name} must be {allowed}, got {value}')


def check_increasing(name: str, value: Any, low: int, high: int) -> tuple[int, ...]:
    """Check a strictly increasing sequence of ints in [low, high].

    Returns:
        The same as a tuple.

    Raises:
        TypeError: If it is no sequence of ints.
        ValueError: If an int is out of range, or not larger than the one before.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f'{name} must be a sequence of ints, got {value!r}')
    for item in value:
        check_int(name, item, low, high)
    if any(b <= a for a, b in itertools.pairwise(value)):
        raise ValueError(f'{name} must increase, got {value!r}')
    return tuple(value)


def check_number(
    name: str, value: Any, low: float, high: float, open_low: bool = False
) -> None:
    """Raise unless ``value`` is a real number in [low, high) or (low, high).

    Raises:
        TypeError: If it is no number.
        ValueError: If it is out of range, or not a number (NaN).
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f'{name} must be a number, got {value!r}')
    if not low <= value < high or (open_low and value == low):
        bracket = '(' if open_low else '['
        raise ValueError(f'{name} must be in {bracket}{low}, {high}), got {value}')


def check_layers(
    channels: int, conv_cfg: Cfg | None, norm_cfg: Cfg, act_cfg: Cfg
) -> None:
    """Raise unless the three cfgs build layers that take maps and keep their size.

    There are layers that build and fail at the first picture: ``BN1d``, a deformable
    convolution, which wants offsets.

    Args:
        channels: Channels of the map to try them with.
        conv_cfg: Convolutions.
        norm_cfg: Normalisations.
        act_cfg: Activations.

    Raises:
        ValueError: Naming the cfg.
    """
    layers = dict(
        conv_cfg=(conv_cfg, lambda: conv(conv_cfg, channels, channels, 3)),
        norm_cfg=(norm_cfg, lambda: norm(norm_cfg, channels)),
        act_cfg=(act_cfg, lambda: act(act_cfg)),
    )
    x = torch.zeros(2, channels, 2, 2)
    # Their weights are thrown away: the network's are drawn as if they had not been.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for name, (cfg, build) in layers.items():
            layer = build().eval().to(x.dtype)
            try:
                fits = layer(x).shape == x.shape
                reason = ''
            except Exception as error:
                fits, reason = False, f': {error}'
            if not fits:
                raise ValueError(
                    f'{name}={cfg!r} builds {type(layer).__name__}, which does not map '
                    f'(N, C, H, W) to the same{reason}'
                )


def check_kernel_size(name: str, value: int) -> None:
    """Raise unless ``value`` is an odd, positive int of a size that maps can have.

    Raises:
        TypeError: If it is no int.
        ValueError: If it is even or out of range.
    """
    check_int(name, value, 1, MAX_KERNEL_SIZE)
    if value % 2 == 0:
        raise ValueError(f'{name} must be odd to keep the size of the map, got {value}')


def normalise_indices(out_indices: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Turn every form of ``out_indices`` into increasing numbers from 0 on.

    Args:
        out_indices: Numbers of stages, negative ones from the end; an int is one of it.
        count: How many stages there are.

    Returns:
        The numbers, from 0 on.

    Raises:
        TypeError: If it is neither an int nor a sequence of ints.
        ValueError: If it is empty, does not increase, or there is no such stage.
    """
    if isinstance(out_indices, int):
        out_indices = (out_indices,)
    if isinstance(out_indices, str) or not isinstance(out_indices, Sequence):
        raise TypeError(
            f'out_indices must be an int or a sequence of ints, got {out_indices!r}'
        )
    if not out_indices:
        raise ValueError('out_indices must not be empty')
    for index in out_indices:
        check_int('out_indices', index, -count, count - 1)
    return check_increasing(
        'out_indices', [i % count for i in out_indices], 0, count - 1
    )
