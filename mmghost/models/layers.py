"""The few layers and checks that every network of mmghost is built from.

Layers come from mmcv's builders, so that ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` mean
what they mean everywhere in OpenMMLab. mmcv's own errors for a wrong cfg are KeyErrors
and AssertionErrors from deep inside; here they become one ValueError or TypeError that
names the argument.
"""

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from mmengine.registry import MODELS, WEIGHT_INITIALIZERS
from torch import Tensor

from ..errors import near
from .stepping import run, steppable

Cfg = dict[str, Any]

# Widths from here on are slips of the finger (130 for 1.3), and exhaust the memory.
MAX_WIDTH = 16
MAX_CHANNELS = 2**16

# Activations of which `inplace=True` is known and safe under autograd.
_INPLACE = ('ReLU', 'ReLU6', 'LeakyReLU', 'Hardtanh')


def make_divisible(value: float, divisor: int = 4) -> int:
    """Round a channel count to a multiple of ``divisor``, never below 90 % of it.

    Args:
        value: The wanted number of channels.
        divisor: The number that the result is a multiple of; also its minimum.

    Returns:
        The rounded number of channels.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    if rounded < 0.9 * value:
        rounded += divisor
    return rounded


def conv(
    cfg: Cfg | None,
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int] = 1,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Module:
    """Build a convolution whose output has ``ceil(size / stride)`` pixels a side.

    Args:
        cfg: ``conv_cfg``; None is ``nn.Conv2d``.
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Odd kernel size, or (height, width).
        stride: Stride.
        groups: Groups.
        bias: Whether there is a bias.

    Returns:
        The layer.
    """
    if isinstance(kernel_size, tuple):
        padding: int | tuple[int, int] = (kernel_size[0] // 2, kernel_size[1] // 2)
    else:
        padding = kernel_size // 2
    return _build(
        'conv_cfg',
        cfg,
        lambda: build_conv_layer(
            cfg,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            groups=groups,
            bias=bias,
        ),
    )


def norm(cfg: Cfg, channels: int) -> nn.Module:
    """Build a normalisation layer for ``channels`` channels from ``norm_cfg``."""
    return _build('norm_cfg', cfg, lambda: build_norm_layer(cfg, channels)[1])


def act(cfg: Cfg) -> nn.Module:
    """Build an activation from ``act_cfg``, in place where that is safe."""
    cfg = copy.deepcopy(cfg)
    if cfg.get('type') in _INPLACE:
        cfg.setdefault('inplace', True)
    return _build('act_cfg', cfg, lambda: build_activation_layer(cfg))


def _build(name: str, cfg: Cfg | None, build: Callable[[], nn.Module]) -> nn.Module:
    try:
        return build()
    except Exception as error:  # whatever a registered class makes of the cfg
        reason: Any = error
        kind = (cfg or {}).get('type')
        if isinstance(kind, str) and MODELS.get(kind) is None:
            reason = f'none is called {kind!r}{near(kind, MODELS.module_dict)}'
        raise ValueError(f'{name}={cfg!r} builds no layer: {reason}') from error


def check_cfg(name: str, cfg: Cfg | None, optional: bool = False) -> None:
    """Raise a TypeError unless ``cfg`` is a dict with a ``type`` (or None)."""
    if cfg is None and optional:
        return
    if not isinstance(cfg, dict) or 'type' not in cfg:
        allowed = "a dict with the key 'type'" + (' or None' if optional else '')
        raise TypeError(f'{name} must be {allowed}, got {cfg!r}')


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
    """Check a strictly increasing sequence of ints in [low, high]."""
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


@steppable
class SqueezeExcite(nn.Module):
    """Squeeze-and-Excitation as GhostNet has it: ReLU inside, hard sigmoid gate.

    The gate is ``relu6(x + 3) / 6``. The names of the weights are the release's.

    Args:
        channels: Input and output channels.
        ratio: Reduced channels per channel, rounded to a multiple of 4.
        conv_cfg: Convolutions.
        act_cfg: Inner activation.
    """

    def __init__(
        self,
        channels: int,
        ratio: float = 0.25,
        conv_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        reduced = make_divisible(channels * ratio)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv_reduce = conv(conv_cfg, channels, reduced, bias=True)
        self.act = act(act_cfg or dict(type='ReLU'))
        self.conv_expand = conv(conv_cfg, reduced, channels, bias=True)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of ``x``, (N, C, H, W) to (N, C, H, W)."""
        scale = self.conv_expand(self.act(self.conv_reduce(self.avg_pool(x))))
        return x * self.gate(scale)

    @torch.jit.unused
    def _stepped(self, x: Tensor) -> Tensor:
        squeeze = (self.avg_pool, self.conv_reduce, self.act)
        return x * run(x, *squeeze, self.conv_expand, self.gate)
