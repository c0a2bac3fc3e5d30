"""Layers that the networks are built from, by mmcv's builders."""

from typing import Any

import torch.nn as nn
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from torch import Tensor

Cfg = dict[str, Any]

# Activations that autograd allows in place after a normalization.
_INPLACE = ('ReLU', 'ReLU6', 'LeakyReLU', 'Hardtanh')


def make_divisible(value: float, divisor: int = 4) -> int:
    """Round a number of channels to a multiple of ``divisor``, at least 90 % of it."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def conv(
    cfg: Cfg | None,
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int] = 1,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Module:
    """Build a convolution from ``conv_cfg``, padded to ``ceil(size / stride)`` px."""
    if isinstance(kernel_size, int):
        kernel_size = (kernel_size, kernel_size)
    return build_conv_layer(
        cfg,
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=tuple(k // 2 for k in kernel_size),
        groups=groups,
        bias=bias,
    )


def norm(cfg: Cfg, channels: int) -> nn.Module:
    """Build a normalization layer from ``norm_cfg``."""
    return build_norm_layer(cfg, channels)[1]


def act(cfg: Cfg) -> nn.Module:
    """Build an activation from ``act_cfg``, in place where autograd allows it."""
    if cfg['type'] in _INPLACE:
        cfg = dict(inplace=True, **cfg) if 'inplace' not in cfg else cfg
    return build_activation_layer(cfg)


class ConvNorm(nn.Module):
    """A convolution and its normalization, one branch of :class:`RepConv`."""

    def __init__(self, conv_cfg: Cfg | None, norm_cfg: Cfg, *args, **kwargs) -> None:
        super().__init__()
        self.conv = conv(conv_cfg, *args, **kwargs)
        self.bn = norm(norm_cfg, args[1])

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H', W')."""
        return self.bn(self.conv(x))


class RepConv(nn.Module):
    """A sum of branches that folds into one convolution (GhostNetV3, section 3.1).

    ``branches`` convolutions of the kernel size, a 1x1 convolution where the kernel is
    larger, and a bare normalization where a depthwise convolution keeps the size; each
    branch has its own normalization.

    Args:
        branches: Number of convolutions of the kernel size.
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Odd kernel size.
        stride: Stride.
        groups: Groups.
        conv_cfg: Convolutions; None is ``nn.Conv2d``.
        norm_cfg: Normalizations.
    """

    def __init__(
        self,
        branches: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        groups: int,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
    ) -> None:
        super().__init__()
        shape = (conv_cfg, norm_cfg, in_channels, out_channels)
        grid = dict(stride=stride, groups=groups)
        self.convs = nn.ModuleList(
            ConvNorm(*shape, kernel_size, **grid) for _ in range(branches)
        )
        self.scale = ConvNorm(*shape, 1, **grid) if kernel_size > 1 else None
        keeps_size = groups == in_channels == out_channels and stride == 1
        self.skip = norm(norm_cfg, in_channels) if keeps_size else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H', W')."""
        out = self.convs[0](x)
        for branch in (*self.convs[1:], self.scale, self.skip):
            if branch is not None:
                out = out + branch(x)
        return out


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    branches: int = 0,
    conv_cfg: Cfg | None = None,
    norm_cfg: Cfg | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Build a convolution and its normalization.

    With ``branches`` it is a :class:`RepConv` and an ``nn.Identity``, so that the folded
    convolution has the name that it has without branches.
    """
    norm_cfg = norm_cfg or dict(type='BN')
    grid = (in_channels, out_channels, kernel_size, stride, groups)
    if branches:
        return RepConv(branches, *grid, conv_cfg, norm_cfg), nn.Identity()
    return conv(conv_cfg, *grid), norm(norm_cfg, out_channels)
