"""Attention modules for any network: SE, CBAM, Coordinate Attention and DFC.

Each takes a map and returns it re-weighted, (N, C, H, W) to (N, C, H, W), and is a plugin
in mmcv's sense: networks with a ``plugins`` argument, such as mmdet's ResNet, can carry it.
"""

from typing import Any

import torch
import torch.nn as nn
from mmcv.cnn import build_norm_layer
from torch import Tensor

from mmghost.models import DFCAttention
from mmghost.registry import MODELS, register


@register(MODELS)
class SEAttention(nn.Module):
    """Squeeze-and-Excitation (`arXiv:1709.01507 <https://arxiv.org/abs/1709.01507>`_).

    GhostNet's own SE has a hard sigmoid and another rounding.

    Args:
        in_channels: Channels of the map.
        reduction: Ratio of the channels to the inner ones.
    """

    _abbr_ = 'se_attention'

    def __init__(self, in_channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(1, in_channels // reduction)
        self.fc1 = nn.Conv2d(in_channels, inner, 1)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(inner, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of (N, C, H, W)."""
        scale = self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * scale.sigmoid()


@register(MODELS)
class CBAMAttention(nn.Module):
    """CBAM: channel, then spatial attention.

    As the code published with the paper
    (`arXiv:1807.06521 <https://arxiv.org/abs/1807.06521>`_).

    Args:
        in_channels: Channels of the map.
        reduction: Ratio of the channels to the inner ones.
        kernel_size: Odd kernel size of the spatial convolution.
        norm_cfg: Its normalization; None is batch norm.
    """

    _abbr_ = 'cbam'

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        kernel_size: int = 7,
        norm_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        inner = max(1, in_channels // reduction)
        # The published code moves this one's statistics ten times slower than usual.
        norm_cfg = norm_cfg or dict(type='BN', momentum=0.01)
        self.fc1 = nn.Conv2d(in_channels, inner, 1)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(inner, in_channels, 1)
        self.spatial = nn.Sequential(
            nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False),
            build_norm_layer(norm_cfg, 1)[1],
        )

    def _weigh(self, pooled: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(pooled)))

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels and the positions of (N, C, H, W)."""
        channels = self._weigh(x.mean((2, 3), keepdim=True))
        channels = channels + self._weigh(x.amax((2, 3), keepdim=True))
        x = x * channels.sigmoid()
        pooled = (x.amax(1, keepdim=True), x.mean(1, keepdim=True))
        return x * self.spatial(torch.cat(pooled, dim=1)).sigmoid()


@register(MODELS)
class CoordAttention(nn.Module):
    """Coordinate Attention: weights for the rows and for the columns of each channel.

    As the code published with the paper
    (`arXiv:2103.02907 <https://arxiv.org/abs/2103.02907>`_).

    Args:
        in_channels: Channels of the map.
        reduction: Ratio of the channels to the inner ones, of which there are at least 8.
        norm_cfg: Normalization; None is batch norm.
    """

    _abbr_ = 'coord_attention'

    def __init__(
        self, in_channels: int, reduction: int = 32, norm_cfg: dict | None = None
    ) -> None:
        super().__init__()
        inner = max(8, in_channels // reduction)
        self.conv1 = nn.Conv2d(in_channels, inner, 1)
        self.bn1 = build_norm_layer(norm_cfg or dict(type='BN'), inner)[1]
        self.act = nn.Hardswish()
        self.conv_h = nn.Conv2d(inner, in_channels, 1)
        self.conv_w = nn.Conv2d(inner, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scale the rows and the columns of (N, C, H, W)."""
        height = x.shape[2]
        rows = x.mean(3, keepdim=True)
        columns = x.mean(2, keepdim=True).transpose(2, 3)
        # Together, because the normalization has one statistic for both.
        both = self.act(self.bn1(self.conv1(torch.cat((rows, columns), dim=2))))
        rows = self.conv_h(both[:, :, :height])
        columns = self.conv_w(both[:, :, height:].transpose(2, 3))
        return x * columns.sigmoid() * rows.sigmoid()


@register(MODELS)
class DFCPlugin(nn.Module):
    """DFC attention of a map on itself: ``x * DFCAttention(x)``.

    GhostNetV2 computes the gate from a narrow map and puts it on the expanded one; a
    plugin sees one map only.

    Args:
        in_channels: Channels of the map.
        **dfc: Arguments of :class:`mmghost.models.DFCAttention`.
    """

    _abbr_ = 'dfc'

    def __init__(self, in_channels: int, **dfc: Any) -> None:
        super().__init__()
        self.attention = DFCAttention(in_channels, in_channels, **dfc)

    def forward(self, x: Tensor) -> Tensor:
        """Gate (N, C, H, W) by itself."""
        return x * self.attention(x, x)
