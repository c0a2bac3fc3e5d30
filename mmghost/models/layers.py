"""Layers that the networks are built from, by mmcv's builders."""

from collections import OrderedDict
from typing import Any

import torch.nn as nn
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from torch import Tensor

Cfg = dict[str, Any]

# Activations that autograd allows in place after a normalization.
_INPLACE = ('ReLU', 'ReLU6', 'LeakyReLU')


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


class RepConv(nn.Module):
    """A sum of branches that folds into one convolution (GhostNetV3, section 3.1).

    ``branches`` convolutions of the kernel size, a 1x1 convolution where the kernel is
    larger, and with ``skip`` a bare normalization; each branch has its own normalization.

    Args:
        branches: Number of convolutions of the kernel size.
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size, stride, groups: Of the convolution that it folds into.
        skip: Whether there is a branch of a normalization alone.
        conv_cfg, norm_cfg: Layers; None is ``nn.Conv2d``.
    """

    def __init__(
        self,
        branches: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        groups: int,
        skip: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
    ) -> None:
        super().__init__()

        def branch(kernel: int) -> nn.Sequential:
            layers = OrderedDict(
                conv=conv(conv_cfg, in_channels, out_channels, kernel, stride, groups),
                bn=norm(norm_cfg, out_channels),
            )
            return nn.Sequential(layers)

        self.convs = nn.ModuleList(branch(kernel_size) for _ in range(branches))
        self.scale = branch(1) if kernel_size > 1 else None
        self.skip = norm(norm_cfg, out_channels) if skip else None

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
    skip: bool = False,
    conv_cfg: Cfg | None = None,
    norm_cfg: Cfg | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Build a convolution and its normalization, or a RepConv and an ``nn.Identity``."""
    norm_cfg = norm_cfg or dict(type='BN')
    grid = (in_channels, out_channels, kernel_size, stride, groups)
    if branches:
        return RepConv(branches, *grid, skip, conv_cfg, norm_cfg), nn.Identity()
    return conv(conv_cfg, *grid), norm(norm_cfg, out_channels)
