"""DFC attention as in the paper's equations: each position has weights of its own."""

from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from mmghost.models import GhostNetV2
from mmghost.models.ghostnet import GhostBottleneck
from mmghost.registry import MODELS, register

# Weight (C, H, W, K) times map (N, C, K, W) or (N, C, H, K).
EQUATIONS = 'nckw,chwk->nchw', 'nchk,chwk->nchw'


class AxisFC(nn.Module):
    """A fully connected layer along each column (``axis=0``) or row (1) of a map.

    Args:
        channels: Channels of the map; none sees another.
        side: Height and width of the map, which are fixed.
        axis: What is summed over: positions of a column or of a row.
    """

    def __init__(self, channels: int, side: int, axis: int) -> None:
        super().__init__()
        self.side, self.equation = side, EQUATIONS[axis]
        self.weight = nn.Parameter(torch.empty(channels, side, side, side))
        nn.init.uniform_(self.weight, -(side**-0.5), side**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, side, side) to the same shape."""
        if x.shape[2:] != (self.side, self.side):
            raise ValueError(
                f'a map is {tuple(x.shape[2:])}, not {self.side}x{self.side}: set '
                'image_size of the backbone'
            )
        return torch.einsum(self.equation, x, self.weight)


@register(MODELS)
class UnsharedGhostNetV2(GhostNetV2):
    """GhostNetV2 for one size of image, its DFC attention along columns, then rows.

    Args:
        image_size: Height and width of the images in px.
        *args, **kwargs: As for GhostNetV2. ``kernel_size`` of ``dfc`` is not used.
    """

    def __init__(self, *args: Any, image_size: int = 224, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        side = -(-image_size // 2)
        for block in (block for group in self.blocks for block in group):
            if not isinstance(block, GhostBottleneck):
                break
            if (dfc := block.ghost1.short_conv) is not None:
                for axis, child in enumerate((2, 4)):
                    channels = dfc[child].out_channels
                    dfc[child] = AxisFC(channels, side // dfc.ratio, axis)
            if isinstance(block.conv_dw, nn.Conv2d):
                side = -(-side // 2)
        self.freeze()
