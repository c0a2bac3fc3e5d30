"""MobileNetV2 that can carry an attention module in its blocks (table 5 of the paper).

Without attention it is mmpretrain's and mmdet's MobileNetV2, number by number and
weight by weight, so that their checkpoints load by name.
"""

import inspect
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import torch
import torch.nn as nn
from torch import Tensor

from ..registry import MODELS, register
from .arguments import (
    MAX_CHANNELS,
    MAX_WIDTH,
    check_bool,
    check_cfg,
    check_increasing,
    check_init_cfg,
    check_int,
    check_layers,
    check_number,
    normalise_indices,
)
from .backbone import Backbone, checkpointed
from .dfc import DFCAttention
from .layers import Cfg, act, conv, make_divisible, norm


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
NUM_STAGES = len(LAYERS) + 1  # the last is the convolution behind the layers


class Stage(nn.Sequential):
    """Modules that run one after the other, and whether the backbone returns the last map.

    Args:
        parts: The modules by name.
        tap: Whether their output is one of the backbone's.
    """

    tap: Final[bool]

    def __init__(self, parts: dict[str, nn.Module], tap: bool = False) -> None:
        super().__init__(OrderedDict(parts))
        self.tap = tap


class ConvBNAct(Stage):
    """Convolution, normalisation, activation, with the names of mmcv's ConvModule.

    ConvModule itself cannot be scripted.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        tap: bool = False,
    ) -> None:
        parts: dict[str, nn.Module] = dict(
            conv=conv(conv_cfg, in_channels, out_channels, kernel_size, stride, groups),
            bn=norm(norm_cfg or dict(type='BN'), out_channels),
        )
        if act_cfg is not None:
            parts['activate'] = act(act_cfg)
        super().__init__(parts, tap)


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
        with_cp: Trade compute for memory by checkpointing.
        layers: ``conv_cfg``, ``norm_cfg`` and ``act_cfg``.
    """

    residual: Final[bool]
    expanded: Final[bool]
    gates: Final[bool]
    with_cp: Final[bool]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expand_ratio: int,
        attention: Cfg | None,
        with_cp: bool,
        layers: Cfg,
    ) -> None:
        super().__init__()
        hidden = in_channels * expand_ratio
        self.residual = stride == 1 and in_channels == out_channels
        self.expanded = expand_ratio != 1
        self.with_cp = with_cp
        parts = []
        if self.expanded:
            parts.append(ConvBNAct(in_channels, hidden, **layers))
        parts += [
            ConvBNAct(hidden, hidden, 3, stride, groups=hidden, **layers),
            ConvBNAct(hidden, out_channels, **{**layers, 'act_cfg': None}),
        ]
        self.conv = nn.Sequential(*parts)
        self.attention: nn.Module | None = None
        self.gates = attention is not None and _class_of(attention) is DFCAttention
        if attention is not None:
            self.attention = _build_attention(attention, in_channels, hidden)

    def _forward(self, x: Tensor) -> Tensor:
        out = self.conv[0](x) if self.expanded else x
        if self.gates:
            out = out * self.attention(x, out)
        out = self.conv[-2](out)
        if self.attention is not None:  # noqa: SIM102 - TorchScript sees no `and`
            if not self.gates:
                out = self.attention(out)
        out = self.conv[-1](out)
        return x + out if self.residual else out

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        if torch.jit.is_scripting() or not self.with_cp or not torch.is_grad_enabled():
            return self._forward(x)
        return self._checkpointed(x)

    @torch.jit.unused
    def _checkpointed(self, x: Tensor) -> Tensor:
        return checkpointed(self, self._forward, x)


def _build_attention(cfg: Cfg, in_channels: int, hidden: int) -> nn.Module:
    """Build the attention of a block: DFC as a gate of the expansion, or a plugin."""
    cfg = dict(cfg)
    try:
        if _class_of(cfg) is DFCAttention:
            del cfg['type']
            return DFCAttention(in_channels, hidden, **cfg)
        return MODELS.build(dict(cfg, in_channels=hidden))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'attention={cfg!r} builds no layer: {error}') from error


def _class_of(attention: Cfg) -> type | None:
    """Find what the config's type names, with a scope, without, or itself the class."""
    kind = attention['type']
    return MODELS.get(kind) if isinstance(kind, str) else kind


def _with_norm(attention: Cfg, norm_cfg: Cfg) -> Cfg:
    """Give the attention the network's normalisation, if it has none of its own."""
    cls = _class_of(attention)
    if cls is None or 'norm_cfg' not in inspect.signature(cls).parameters:
        return attention
    return {'norm_cfg': norm_cfg, **attention}


@register(MODELS)
class AttentionMobileNetV2(Backbone):
    """MobileNetV2 with an attention module in its blocks.

    The network and the names of its weights are those of mmpretrain's and mmdet's
    MobileNetV2; the attention's weights are ``layerI.B.attention``.

    Args:
        widen_factor: Width multiplier.
        in_channels: Channels of the pictures.
        attention: Config of the attention module, with one of the types
            ``SEAttention``, ``CBAMAttention``, ``CoordAttention``, ``DFCPlugin``,
            ``DFCAttention`` or of anything else that takes ``in_channels`` and returns
            the map that it is given, re-weighted. None is plain MobileNetV2. One that
            takes ``norm_cfg`` gets the network's, where that is given and it has none.
        attention_layers: Which of the layers 1 to 7 have it. Layer 1, which does not
            expand, has none by default.
        out_indices: Which layers to return, increasing, as in mmpretrain and mmdet: 0 to
            6 are the layers 1 to 7 (strides 2, 4, 8, 16, 16, 32, 32), 7 is the last
            convolution; negative ones count from the end, an int is one of it. Nothing
            past the last one asked for is built.
        frozen_stages: -1 freezes nothing, 0 the first convolution, k that and the
            layers 1..k: no gradient, and no running statistic moves.
        conv_cfg: Convolutions; None is ``nn.Conv2d``.
        norm_cfg: Normalisations; None is ``dict(type='BN')``.
        act_cfg: Activations; None is ``dict(type='ReLU6')``.
        norm_eval: Keep normalisations in evaluation mode while training.
        with_cp: Trade compute for memory by checkpointing each block.
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
        out_indices: int | Sequence[int] = (7,),
        frozen_stages: int = -1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Cfg | list[Cfg] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer=['Conv2d']),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
            ]
        check_init_cfg('init_cfg', init_cfg)
        super().__init__(init_cfg=init_cfg)
        check_number('widen_factor', widen_factor, 0, MAX_WIDTH, open_low=True)
        check_int('in_channels', in_channels, 1, MAX_CHANNELS)
        check_cfg('attention', attention, optional=True)
        check_int('frozen_stages', frozen_stages, -1, len(LAYERS))
        check_cfg('conv_cfg', conv_cfg, optional=True)
        check_cfg('norm_cfg', norm_cfg, optional=True)
        check_cfg('act_cfg', act_cfg, optional=True)
        check_bool('norm_eval', norm_eval)
        check_bool('with_cp', with_cp)
        attended = check_increasing(
            'attention_layers', attention_layers, 1, len(LAYERS)
        )
        self.out_indices = normalise_indices(out_indices, NUM_STAGES)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        if attention is not None and norm_cfg is not None:
            attention = _with_norm(attention, norm_cfg)

        layers: Cfg = dict(
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg or dict(type='BN'),
            act_cfg=act_cfg or dict(type='ReLU6'),
        )
        channels = make_divisible(STEM_CHANNELS * widen_factor, 8)
        check_layers(channels, **layers)
        self.conv1 = ConvBNAct(in_channels, channels, 3, 2, **layers)
        last, stride = self.out_indices[-1], 2
        stage_channels, stage_strides = [], []
        for i, row in enumerate(LAYERS[: last + 1]):
            out = make_divisible(row.channels * widen_factor, 8)
            blocks = {}
            for b in range(row.blocks):
                blocks[str(b)] = AttentiveInvertedResidual(
                    channels,
                    out,
                    row.stride if b == 0 else 1,
                    row.expand_ratio,
                    attention if i + 1 in attended else None,
                    with_cp,
                    layers,
                )
                channels = out
            stride *= row.stride
            self.add_module(f'layer{i + 1}', Stage(blocks, tap=i in self.out_indices))
            stage_channels.append(channels)
            stage_strides.append(stride)
        if last == NUM_STAGES - 1:
            out = int(LAST_CHANNELS * max(widen_factor, 1.0))
            self.conv2 = ConvBNAct(channels, out, tap=True, **layers)
            stage_channels.append(out)
            stage_strides.append(stride)
        self._stage_channels = tuple(stage_channels)
        self._stage_strides = tuple(stage_strides)
        self._freeze()

    def forward(self, x: Tensor):
        """Compute the feature maps.

        Args:
            x: Pictures, (N, in_channels, H, W), of any height and width from 1 px.

        Returns:
            A tuple with one map for each of ``out_indices``, (N, C, ceil(H / s),
            ceil(W / s)) with C of ``out_channels`` and s of ``out_strides``.
        """
        # As GhostNet.forward_trunk: the form that TorchScript takes.
        outs = ()
        for stage in self.children():
            x = stage(x)
            if stage.tap:
                outs = outs + (x,)  # noqa: RUF005 - TorchScript has no unpacking
        return outs

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Say how deep a parameter lies, for layer-wise decay of the learning rate.

        The first convolution is layer 0, each block one more, then the last
        convolution; all that is not of the backbone (neck, head) is one layer more.

        Args:
            param_name: Name of the parameter in the whole model.
            prefix: What stands before the backbone's own names, ``'backbone.'``.

        Returns:
            The parameter's layer, and the number of layers, the head's included.
        """
        starts, depth = {}, 0
        for name, stage in self.named_children():
            starts[name] = depth
            depth += 1 if isinstance(stage, ConvBNAct) else len(stage)
        if not param_name.startswith(prefix):
            return depth, depth + 1
        stage, part, *_ = param_name[len(prefix) :].split('.')
        inside = int(part) if part.isdigit() else 0
        return starts[stage] + inside, depth + 1

    def _frozen(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield self.conv1
            for i in range(1, self.frozen_stages + 1):
                if hasattr(self, f'layer{i}'):  # it is not, past the last output
                    yield getattr(self, f'layer{i}')
