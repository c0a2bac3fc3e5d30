"""The few layers that every network of mmghost is built from.

Layers come from mmcv's builders, so that ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` mean
what they mean everywhere in OpenMMLab. mmcv's own errors for a wrong cfg are KeyErrors
and AssertionErrors from deep inside; here they become one ValueError or TypeError that
names the argument.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from mmengine.registry import MODELS
from torch import Tensor

from ..errors import near
from .stepping import run, steppable

Cfg = dict[str, Any]

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

    Raises:
        ValueError: If the cfg builds none.
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
    """Build a normalisation layer for ``channels`` channels from ``norm_cfg``.

    Raises:
        ValueError: If the cfg builds none.
    """
    return _build('norm_cfg', cfg, lambda: build_norm_layer(cfg, channels)[1])


def act(cfg: Cfg) -> nn.Module:
    """Build an activation from ``act_cfg``, in place where that is safe.

    Raises:
        ValueError: If the cfg builds none.
    """
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


@steppable
class SqueezeExcite(nn.Module):
    """Squeeze-and-Excitation as GhostNet has it: ReLU inside, hard sigmoid gate.

    The gate is ``relu6(x + 3) / 6``. The names of the weights are the release's.

    Args:
        channels: Input and output channels.
        ratio: Reduced channels per channel, rounded to a multiple of 4.
        conv_cfg: Convolutions.
        act_cfg: Inner activation; None is ReLU.

    Raises:
        ValueError: If a cfg builds no layer.
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
