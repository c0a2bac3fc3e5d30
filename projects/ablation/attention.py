"""Attention modules to be put into any network: SE, CBAM, Coordinate Attention and DFC.

They are what table 5 of the GhostNetV2 paper compares in MobileNetV2. Each takes a map
and returns it re-weighted, (N, C, H, W) to (N, C, H, W), and each is a plugin in mmcv's
sense: its first argument is ``in_channels``, so that networks with a ``plugins``
argument, such as mmdet's ResNet, can carry it.
"""

from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from ..registry import MODELS, register
from .arguments import check_cfg, check_int, check_kernel_size
from .dfc import DFCAttention
from .layers import Cfg, norm


def _reduced(in_channels: int, reduction: int, least: int = 1) -> int:
    """Check both numbers, and say how many channels are left inside."""
    check_int('in_channels', in_channels, 1)
    check_int('reduction', reduction, 1)
    return max(least, in_channels // reduction)


@register(MODELS)
class SEAttention(nn.Module):
    """Squeeze-and-Excitation: one weight for each channel.

    Arithmetic of `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_:
    global average, two fully connected layers with a ReLU between, sigmoid. GhostNet's
    own SE differs (hard sigmoid, other rounding): :class:`.layers.SqueezeExcite`.

    Args:
        in_channels: Channels of the map.
        reduction: How many times fewer channels there are inside.

    Raises:
        TypeError, ValueError: If an argument is wrong. The message names it.
    """

    _abbr_ = 'se_attention'

    def __init__(self, in_channels: int, reduction: int = 16) -> None:
        super().__init__()
        reduced = _reduced(in_channels, reduction)
        self.fc1 = nn.Conv2d(in_channels, reduced, 1)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(reduced, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of ``x``, (N, C, H, W) to (N, C, H, W)."""
        scale = self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * scale.sigmoid()


@register(MODELS)
class CBAMAttention(nn.Module):
    """CBAM: a weight for each channel, then one for each position.

    Arithmetic of the code published with `CBAM: Convolutional Block Attention Module
    <https://arxiv.org/abs/1807.06521>`_: the same two fully connected layers see the
    average and the maximum of each channel; a convolution with normalisation sees the
    maximum and the average over the channels.

    Args:
        in_channels: Channels of the map.
        reduction: How many times fewer channels there are inside.
        kernel_size: Of the spatial convolution, odd.
        norm_cfg: Its normalisation; None is batch normalisation.

    Raises:
        TypeError, ValueError: If an argument is wrong. The message names it.
    """

    _abbr_ = 'cbam'

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        kernel_size: int = 7,
        norm_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        reduced = _reduced(in_channels, reduction)
        check_kernel_size('kernel_size', kernel_size)
        # The published code moves this one's statistics ten times slower than usual.
        norm_cfg = norm_cfg or dict(type='BN', momentum=0.01)
        check_cfg('norm_cfg', norm_cfg)
        if norm_cfg['type'] == 'GN':  # the one channel is one group
            norm_cfg = {**norm_cfg, 'num_groups': 1}
        self.fc1 = nn.Conv2d(in_channels, reduced, 1)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(reduced, in_channels, 1)
        self.spatial = nn.Sequential(
            nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False),
            norm(norm_cfg, 1),
        )

    def _weigh(self, pooled: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(pooled)))

    def forward(self, x: Tensor) -> Tensor:
        """Scale channels and positions of ``x``, (N, C, H, W) to (N, C, H, W)."""
        channels = self._weigh(x.mean((2, 3), keepdim=True))
        channels = channels + self._weigh(x.amax((2, 3), keepdim=True))
        x = x * channels.sigmoid()
        pooled = (x.amax(1, keepdim=True), x.mean(1, keepdim=True))
        return x * self.spatial(torch.cat(pooled, dim=1)).sigmoid()


@register(MODELS)
class CoordAttention(nn.Module):
    """Coordinate Attention: weights for each channel's rows and for its columns.

    Arithmetic of the code published with `Coordinate Attention for Efficient Mobile
    Network Design <https://arxiv.org/abs/2103.02907>`_: averages over rows and over
    columns go together through one 1x1 convolution, normalisation and hard swish, then
    apart through one 1x1 convolution and a sigmoid each.

    Args:
        in_channels: Channels of the map.
        reduction: How many times fewer channels there are inside, where at least 8 stay.
        norm_cfg: Normalisation; None is batch normalisation.

    Raises:
        TypeError, ValueError: If an argument is wrong. The message names it.
    """

    _abbr_ = 'coord_attention'

    def __init__(
        self, in_channels: int, reduction: int = 32, norm_cfg: Cfg | None = None
    ) -> None:
        super().__init__()
        reduced = _reduced(in_channels, reduction, least=8)
        norm_cfg = norm_cfg or dict(type='BN')
        check_cfg('norm_cfg', norm_cfg)
        self.conv1 = nn.Conv2d(in_channels, reduced, 1)
        self.bn1 = norm(norm_cfg, reduced)
        self.act = nn.Hardswish()
        self.conv_h = nn.Conv2d(reduced, in_channels, 1)
        self.conv_w = nn.Conv2d(reduced, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scale rows and columns of ``x``, (N, C, H, W) to (N, C, H, W)."""
        height = x.shape[2]
        rows = x.mean(3, keepdim=True)
        columns = x.mean(2, keepdim=True).transpose(2, 3)
        # Together, for the normalisation has one statistic for both.
        both = self.act(self.bn1(self.conv1(torch.cat((rows, columns), dim=2))))
        rows = self.conv_h(both[:, :, :height])
        columns = self.conv_w(both[:, :, height:].transpose(2, 3))
        return x * columns.sigmoid() * rows.sigmoid()


@register(MODELS)
class DFCPlugin(nn.Module):
    """DFC attention of a map on itself: ``x * DFCAttention(x)``.

    GhostNetV2 computes the gate from a narrow map and puts it on the expanded one (see
    :class:`.ghost_module.GhostModule`); a plugin sees one map only, so that here gate
    and map have the same channels.

    Args:
        in_channels: Channels of the map.
        norm_cfg: Normalisation; None is batch normalisation.
        **dfc: The other arguments of :class:`DFCAttention`.

    Raises:
        TypeError, ValueError: If an argument is wrong. The message names it.

    Example:
        In a config of mmdet, DFC in every bottleneck of ResNet's last three stages::

            backbone=dict(
                type='ResNet',
                depth=50,
                plugins=[dict(
                    cfg=dict(type='DFCPlugin', kernel_size=5),
                    stages=(False, True, True, True),
                    position='after_conv2')])
    """

    _abbr_ = 'dfc'

    def __init__(
        self, in_channels: int, norm_cfg: Cfg | None = None, **dfc: Any
    ) -> None:
        super().__init__()
        self.attention = DFCAttention(
            in_channels, in_channels, norm_cfg=norm_cfg, **dfc
        )

    def forward(self, x: Tensor) -> Tensor:
        """Gate ``x`` by itself, (N, C, H, W) to (N, C, H, W)."""
        return x * self.attention(x, x)
