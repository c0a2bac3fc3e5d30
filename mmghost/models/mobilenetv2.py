"""MobileNetV2 that can carry an attention module in its blocks (table 5 of the paper).

Without attention it is mmpretrain's and mmdet's MobileNetV2, number by number and
weight by weight, so that their checkpoints load by name.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from ..registry import MODELS, register
from .dfc import DFCAttention
from .layers import (
    MAX_CHANNELS,
    MAX_WIDTH,
    Cfg,
    check_bool,
    check_cfg,
    check_init_cfg,
    check_int,
    check_layers,
    check_number,
    conv,
    make_divisible,
    norm,
)


class Layer(NamedTuple):
    """One row of the paper's table: a sequence of equal blocks."""

    expand_ratio: int
    channels: int
    blocks: int
    stride: int


# MobileNetV2 (arXiv:1801.04381), table 2: `layer1` to `layer7`.
LAYERS = (
    Layer(1, 16, 1, 1),
    Layer(6, 24, 2, 2),
    Layer(6, 32, 3, 2),
    Layer(6, 64, 4, 2),
    Layer(6, 96, 3, 1),
    Layer(6, 160, 3, 2),
    Layer(6, 320, 1, 1),
)
STEM_CHANNELS = 32
LAST_CHANNELS = 1280
LAST_INDEX = len(LAYERS)


class AttentiveInvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection; attention where it is asked for.

    Attention that re-weights a map (SE, CBAM, Coordinate Attention, DFCPlugin) works on
    the map after the depthwise convolution, as in the code of Coordinate Attention.
    :class:`DFCAttention` works as in GhostNetV2: its gate is computed from the block's
    input and put on the expanded features.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        stride: Of the depthwise convolution.
        expand_ratio: Expanded channels per input channel; 1 is no expansion.
        attention: Config of the attention, or None.
        layers: ``conv_cfg``, ``norm_cfg`` and ``act_cfg``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expand_ratio: int,
        attention: Cfg | None,
        layers: Cfg,
    ) -> None:
        super().__init__()
        hidden = in_channels * expand_ratio
        self.residual = stride == 1 and in_channels == out_channels
        self.expanded = expand_ratio != 1
        parts = []
        if self.expanded:
            parts.append(conv_module(in_channels, hidden, **layers))
        parts += [
            conv_module(hidden, hidden, 3, stride, groups=hidden, **layers),
            conv_module(hidden, out_channels, **{**layers, 'act_cfg': None}),
        ]
        self.conv = nn.Sequential(*parts)
        self.attention: nn.Module | None = None
        self.gates = False
        if attention is not None:
            self.attention, self.gates = _build_attention(
                attention, in_channels, hidden
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        out = self.conv[0](x) if self.expanded else x
        if self.gates:
            out = out * self.attention(x, out)
        out = self.conv[-2](out)
        if self.attention is not None and not self.gates:
            out = self.attention(out)
        out = self.conv[-1](out)
        return x + out if self.residual else out


def conv_module(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    conv_cfg: Cfg | None = None,
    norm_cfg: Cfg | None = None,
    act_cfg: Cfg | None = None,
) -> ConvModule:
    """Build mmcv's block of three layers; say which cfg it is that cannot be built."""
    try:
        return ConvModule(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
    except Exception:
        # One of these raises the error that names it.
        conv(conv_cfg, in_channels, out_channels, kernel_size, stride, groups)
        norm(norm_cfg, out_channels)
        raise


def _build_attention(cfg: Cfg, in_channels: int, hidden: int) -> tuple[nn.Module, bool]:
    """Build the attention of a block; tell whether it is a gate of the expansion."""
    cfg = dict(cfg)
    try:
        if cfg['type'] == 'DFCAttention':
            del cfg['type']
            return DFCAttention(in_channels, hidden, **cfg), True
        return MODELS.build(dict(cfg, in_channels=hidden)), False
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'attention={cfg!r} builds no layer: {error}') from error


@register(MODELS)
class AttentionMobileNetV2(BaseModule):
    """MobileNetV2 with an attention module in its blocks.

    The network and the names of its weights are those of mmpretrain's and mmdet's
    MobileNetV2; the attention's weights are ``layerI.B.attention``.

    Args:
        widen_factor: Width multiplier.
        in_channels: Channels of the pictures.
        attention: Config of the attention module, with one of the types
            ``SEAttention``, ``CBAMAttention``, ``CoordAttention``, ``DFCPlugin``,
            ``DFCAttention`` or of anything else that takes ``in_channels`` and returns
            the map that it is given, re-weighted. None is plain MobileNetV2.
        attention_layers: Which of the layers 1 to 7 have it. Layer 1, which does not
            expand, has none by default.
        out_indices: Which layers to return, as in mmpretrain and mmdet: 0 to 6 are the
            layers 1 to 7 (strides 2, 4, 8, 16, 16, 32, 32), 7 is the last convolution.
            The maps come in the order of the layers. Nothing past the last one asked for
            is built.
        frozen_stages: -1 freezes nothing, 0 the first convolution, k that and the
            layers 1..k: no gradient, and no running statistic moves.
        conv_cfg: Convolutions; None is ``nn.Conv2d``.
        norm_cfg: Normalisations; None is ``dict(type='BN')``.
        act_cfg: Activations; None is ``dict(type='ReLU6')``.
        norm_eval: Keep normalisations in evaluation mode while training.
        init_cfg: Initialisation; None is mmpretrain's (Kaiming normal).

    Raises:
        TypeError, ValueError: If an argument is wrong. The message names it.

    Example:
        >>> import torch
        >>> from mmghost.models import AttentionMobileNetV2
        >>> backbone = AttentionMobileNetV2(
        ...     attention=dict(type='DFCAttention'), out_indices=(1, 2, 4, 6)).eval()
        >>> [tuple(out.shape) for out in backbone(torch.rand(1, 3, 224, 224))]
        [(1, 24, 56, 56), (1, 32, 28, 28), (1, 96, 14, 14), (1, 320, 7, 7)]
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        in_channels: int = 3,
        attention: Cfg | None = None,
        attention_layers: Sequence[int] = (2, 3, 4, 5, 6, 7),
        out_indices: Sequence[int] = (7,),
        frozen_stages: int = -1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        norm_eval: bool = False,
        init_cfg: Cfg | list[Cfg] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer=['Conv2d']),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
            ]
        check_init_cfg('init_cfg', init_cfg)
        super().__init__(init_cfg=init_cfg)
        norm_cfg = dict(type='BN') if norm_cfg is None else norm_cfg
        act_cfg = dict(type='ReLU6') if act_cfg is None else act_cfg
        check_number('widen_factor', widen_factor, 0, MAX_WIDTH, open_low=True)
        check_int('in_channels', in_channels, 1, MAX_CHANNELS)
        check_cfg('attention', attention, optional=True)
        check_int('frozen_stages', frozen_stages, -1, LAST_INDEX)
        check_cfg('conv_cfg', conv_cfg, optional=True)
        check_cfg('norm_cfg', norm_cfg)
        check_cfg('act_cfg', act_cfg)
        check_bool('norm_eval', norm_eval)
        attention_layers = _ints('attention_layers', attention_layers, 1, LAST_INDEX)
        self.out_indices = _ints('out_indices', out_indices, 0, LAST_INDEX)
        if not self.out_indices:
            raise ValueError('out_indices must not be empty')
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        layers: Cfg = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        channels = make_divisible(STEM_CHANNELS * widen_factor, 8)
        check_layers(channels, **layers)
        self.conv1 = conv_module(in_channels, channels, 3, 2, **layers)
        self.layers = []  # names, as in mmpretrain
        layer_channels = []
        for i, row in enumerate(LAYERS[: max(self.out_indices) + 1]):
            out = make_divisible(row.channels * widen_factor, 8)
            blocks = []
            for b in range(row.blocks):
                block = AttentiveInvertedResidual(
                    channels,
                    out,
                    row.stride if b == 0 else 1,
                    row.expand_ratio,
                    attention if i + 1 in attention_layers else None,
                    layers,
                )
                blocks.append(block)
                channels = out
            self.add_module(f'layer{i + 1}', nn.Sequential(*blocks))
            self.layers.append(f'layer{i + 1}')
            layer_channels.append(out)
        if max(self.out_indices) == LAST_INDEX:
            out = int(LAST_CHANNELS * max(widen_factor, 1.0))
            self.conv2 = conv_module(channels, out, **layers)
            self.layers.append('conv2')
            layer_channels.append(out)
        self.out_channels = tuple(layer_channels[i] for i in sorted(self.out_indices))
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map pictures (N, in_channels, H, W) to one map for each of out_indices."""
        x = self.conv1(x)
        outs = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _frozen(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield self.conv1
            for name in self.layers[: self.frozen_stages]:
                yield getattr(self, name)

    def _freeze(self) -> None:
        for module in self._frozen():
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'AttentionMobileNetV2':
        """Switch to training mode, but for what frozen_stages and norm_eval keep.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The backbone itself.
        """
        super().train(mode)
        self._freeze()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _NormBase):
                    module.eval()
        return self


def _ints(name: str, value: Any, low: int, high: int) -> tuple[int, ...]:
    """Check a sequence of ints in [low, high] without repetitions."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f'{name} must be a sequence of ints, got {value!r}')
    for item in value:
        check_int(name, item, low, high)
    if len(set(value)) != len(value):
        raise ValueError(f'{name} must not repeat a number, got {value!r}')
    return tuple(value)
