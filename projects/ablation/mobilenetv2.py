"""MobileNetV2 with an attention module in its blocks (table 5 of the paper).

It is mmpretrain's MobileNetV2; the weights of the attention are ``layerI.B.attention``.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
from mmpretrain.models.backbones.mobilenet_v2 import InvertedResidual, MobileNetV2
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmghost.models import DFCAttention
from mmghost.registry import MODELS, register


class AttentionInvertedResidual(InvertedResidual):
    """Inverted residual with attention inside.

    :class:`mmghost.models.DFCAttention` works as in GhostNetV2: the gate is computed from
    the input of the block and put on the expanded features. Any other attention re-weights
    the map behind the depthwise convolution, as in the code of Coordinate Attention.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        stride: Stride of the depthwise convolution.
        expand_ratio: Expanded channels per input channel, more than 1.
        attention: Config of the attention.
        **kwargs: Other arguments of mmpretrain's ``InvertedResidual``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expand_ratio: int,
        attention: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, stride, expand_ratio, **kwargs)
        hidden = in_channels * expand_ratio
        channels = dict(in_channels=hidden)
        self.gates = MODELS.get(attention['type']) is DFCAttention
        if self.gates:
            channels = dict(in_channels=in_channels, out_channels=hidden)
        self.attention = MODELS.build({**attention, **channels})

    def _forward(self, x: Tensor) -> Tensor:
        expand, depthwise, project = self.conv
        out = expand(x)
        if self.gates:
            out = depthwise(out * self.attention(x, out))
        else:
            out = self.attention(depthwise(out))
        return x + project(out) if self.use_res_connect else project(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)


@register(MODELS)
class AttentionMobileNetV2(MobileNetV2):
    """mmpretrain's MobileNetV2 with an attention module in its blocks.

    Args:
        attention: Config of the attention: ``SEAttention``, ``CBAMAttention``,
            ``CoordAttention``, ``DFCPlugin``, ``DFCAttention``, or another module with an
            argument ``in_channels`` that returns the map that it is given, re-weighted.
            None is plain MobileNetV2.
        attention_layers: Which of the layers 2 to 7 have it.
        **kwargs: Arguments of mmpretrain's ``MobileNetV2``.

    Example:
        >>> import torch
        >>> from projects.ablation.mobilenetv2 import AttentionMobileNetV2
        >>> backbone = AttentionMobileNetV2(
        ...     attention=dict(type='DFCAttention'), out_indices=(1, 2, 4, 6))
        >>> [tuple(out.shape) for out in backbone(torch.rand(2, 3, 224, 224))]
        [(2, 24, 56, 56), (2, 32, 28, 28), (2, 96, 14, 14), (2, 320, 7, 7)]
    """

    def __init__(
        self,
        attention: dict[str, Any] | None = None,
        attention_layers: Sequence[int] = (2, 3, 4, 5, 6, 7),
        **kwargs: Any,
    ) -> None:
        if not set(attention_layers) <= set(range(2, 8)):
            raise ValueError(f'attention_layers={attention_layers!r} must be 2 to 7')
        self.attention = attention
        self.attention_layers = attention_layers
        self.layer = 0
        super().__init__(**kwargs)

    def make_layer(
        self, out_channels: int, num_blocks: int, stride: int, expand_ratio: int
    ) -> nn.Sequential:
        """Build a layer; called by mmpretrain for the layers 1 to 7 in turn."""
        self.layer += 1
        if self.attention is None or self.layer not in self.attention_layers:
            return super().make_layer(out_channels, num_blocks, stride, expand_ratio)
        blocks = nn.Sequential()
        for i in range(num_blocks):
            block = AttentionInvertedResidual(
                self.in_channels,
                out_channels,
                stride if i == 0 else 1,
                expand_ratio,
                self.attention,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
                with_cp=self.with_cp,
            )
            blocks.append(block)
            self.in_channels = out_channels
        return blocks
