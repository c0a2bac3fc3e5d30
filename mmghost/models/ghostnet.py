"""GhostNet, GhostNetV2 and GhostNetV3 as backbones with one output for each stage.

GhostNet: More Features from Cheap Operations (CVPR 2020), GhostNetV2: Enhance Cheap
Operation with Long-Range Attention (NeurIPS 2022), GhostNetV3: Exploring the Training
Strategies for Compact Models (2024). Arithmetic and names of the weights are those of the
authors' release and of timm.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from mmcv.cnn.bricks import DropPath
from torch import Tensor

from ..errors import WeightsError, did_you_mean
from ..registry import MODELS, register
from .atrous import MergePhases, SplitPhases
from .backbone import Backbone, checkpointed
from .dfc import CHOICES, DFCAttention, check_choice
from .folding import fold
from .layers import Cfg, act, conv, conv_norm, make_divisible, norm


class Row(NamedTuple):
    """One bottleneck of the papers' table, at width 1.0."""

    kernel: int
    expanded: int
    out: int
    se_ratio: float
    stride: int


# The papers' table: stages 0 to 4; a stage is a list of the release's `blocks.S`, each a
# list of bottlenecks. Stage i has stride 2 ** (i + 1). Stage 5 is the last 1x1
# convolution, `blocks.9`. The output of a stage is that of its last block; timm taps the
# first (80 channels in stage 3).
# fmt: off
STAGES = (
    [[Row(3,  16,  16, 0.00, 1)]],
    [[Row(3,  48,  24, 0.00, 2)],
     [Row(3,  72,  24, 0.00, 1)]],
    [[Row(5,  72,  40, 0.25, 2)],
     [Row(5, 120,  40, 0.25, 1)]],
    [[Row(3, 240,  80, 0.00, 2)],
     [Row(3, 200,  80, 0.00, 1),
      Row(3, 184,  80, 0.00, 1),
      Row(3, 184,  80, 0.00, 1),
      Row(3, 480, 112, 0.25, 1),
      Row(3, 672, 112, 0.25, 1)]],
    [[Row(5, 672, 160, 0.25, 2)],
     [Row(5, 960, 160, 0.00, 1),
      Row(5, 960, 160, 0.25, 1),
      Row(5, 960, 160, 0.00, 1),
      Row(5, 960, 160, 0.25, 1)]],
)
# fmt: on
STEM_CHANNELS = 16
LAST_CHANNELS = 960
NUM_STAGES = len(STAGES) + 1
NUM_BOTTLENECKS = sum(len(group) for stage in STAGES for group in stage)

# DFC attention of the release. `stages` and `position` say where it is, the rest is
# passed to DFCAttention. A bottleneck belongs to the stage of its input, which is the
# stride of its attention: the first two, without attention in the release, are stage 0.
RELEASE_DFC: Cfg = dict(
    stages=(1, 2, 3, 4),
    position='expanded',
    kernel_size=5,
    downsample='avg',
    ratio=None,
    gate='sigmoid',
    gate_position='before',
    upsample='nearest',
    align_corners=False,
)
DFC_CHOICES = dict(CHOICES, position=('expanded', 'output', 'both'))


def dfc_by_bottleneck(dfc: Cfg | None) -> list[Cfg | None]:
    """Return the DFC attention of each bottleneck.

    Args:
        dfc: The choices that differ from :data:`RELEASE_DFC`, or None for no attention.

    Returns:
        For each of the 16 bottlenecks ``position`` and arguments of
        :class:`DFCAttention`, or None.

    Raises:
        ValueError: If a choice is wrong; the message names it as ``dfc.X``.
    """
    if dfc is None:
        return [None] * NUM_BOTTLENECKS
    for name in set(dfc) - set(RELEASE_DFC):
        hint = did_you_mean(name, RELEASE_DFC)
        raise ValueError(f'dfc has no {name!r}{hint}; it has {", ".join(RELEASE_DFC)}')
    choices = {**RELEASE_DFC, **dfc}
    for name, allowed in DFC_CHOICES.items():
        check_choice(f'dfc.{name}', choices[name], allowed)
    stages, kernels = choices.pop('stages'), choices.pop('kernel_size')
    for stage in stages:
        check_choice('dfc.stages', stage, range(len(STAGES)))
    if isinstance(kernels, int) or (
        len(kernels) == 2 != len(stages) and isinstance(kernels[0], int)
    ):
        kernels = [kernels] * len(stages)
    if len(kernels) != len(stages):
        raise ValueError(
            f'dfc.kernel_size={kernels!r} must be one size, or one for each of '
            f'dfc.stages={stages!r}'
        )
    by_stage = {
        stage: dict(choices, kernel_size=kernel)
        for stage, kernel in zip(stages, kernels)
    }
    plan, stage = [], 0
    for row in (row for groups in STAGES for group in groups for row in group):
        plan.append(by_stage.get(stage))
        stage += row.stride == 2
    return plan


@register(MODELS)
class GhostModule(nn.Module):
    """Half of the features by a 1x1 convolution, half by a cheap operation on them.

    The primary convolution computes ``ceil(out_channels / 2)`` intrinsic features, the
    cheap operation, a 3x3 depthwise convolution, one more from each (GhostNet, section
    3.1). With ``dfc`` they are multiplied by a gate computed from the input (GhostNetV2,
    section 3.3). With ``branches`` both convolutions are sums (GhostNetV3, section 3.1).

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        activate: Whether both halves have the activation.
        dfc: Arguments of :class:`DFCAttention`; None for no attention.
        branches: Branches of each convolution, see :class:`.layers.RepConv`.
        conv_cfg, norm_cfg, act_cfg: Layers; None is ``nn.Conv2d``, batch norm, ReLU.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        activate: bool = True,
        dfc: Cfg | None = None,
        branches: int = 0,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        layers = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, branches=branches)
        acts = [act(act_cfg or dict(type='ReLU')) for _ in range(2 * activate)]
        half = math.ceil(out_channels / 2)
        self.cut = out_channels % 2
        self.primary_conv = nn.Sequential(
            *conv_norm(in_channels, half, **layers), *acts[:1]
        )
        self.cheap_operation = nn.Sequential(
            *conv_norm(half, half, 3, groups=half, skip=True, **layers),
            *acts[1:],
        )
        self.short_conv = None
        if dfc is not None:
            cfgs = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
            self.short_conv = DFCAttention(in_channels, out_channels, **cfgs, **dfc)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        intrinsic = self.primary_conv(x)  # also half of the output: not to be changed
        ghost = self.cheap_operation(intrinsic)
        out = torch.cat((intrinsic, ghost), dim=1)
        if self.cut:
            out = out[:, :-1]
        return out if self.short_conv is None else out * self.short_conv(x, out)


class SqueezeExcite(nn.Module):
    """Squeeze-and-Excitation with a ReLU inside and a hard sigmoid gate.

    Args:
        channels: Input and output channels.
        ratio: Inner channels per channel, rounded to a multiple of 4.
        conv_cfg, act_cfg: Convolutions and inner activation.
    """

    def __init__(
        self, channels: int, ratio: float, conv_cfg: Cfg | None, act_cfg: Cfg
    ) -> None:
        super().__init__()
        inner = make_divisible(channels * ratio)
        self.conv_reduce = conv(conv_cfg, channels, inner, bias=True)
        self.act = act(act_cfg)
        self.conv_expand = conv(conv_cfg, inner, channels, bias=True)
        self.gate = nn.Hardsigmoid()  # relu6(x + 3) / 6

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of (N, channels, H, W)."""
        scale = self.conv_reduce(nn.functional.adaptive_avg_pool2d(x, 1))
        return x * self.gate(self.conv_expand(self.act(scale)))


class GhostBottleneck(nn.Module):
    """Ghost module, depthwise convolution where it has a stride, SE, ghost module.

    Args:
        in_channels: Input channels.
        row: A row of the table, its channels scaled by the width.
        dfc: An item of :func:`dfc_by_bottleneck`.
        drop_path: Probability to drop the residual branch of a sample.
        phases: Phases of a sample in the output's batch, see :mod:`.atrous`.
        split: Replace the stride of 2 by phases.
        with_cp: Compute the bottleneck again in backward, to save memory.
        branches, conv_cfg, norm_cfg, act_cfg: As in :class:`GhostModule`.
    """

    def __init__(
        self,
        in_channels: int,
        row: Row,
        dfc: Cfg | None,
        drop_path: float,
        phases: int,
        split: bool,
        with_cp: bool,
        branches: int,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
        act_cfg: Cfg,
    ) -> None:
        super().__init__()
        layers = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        ghost = dict(layers, act_cfg=act_cfg, branches=branches)
        dfc = dict(dfc or {})
        position = dfc.pop('position', None)
        stride = 1 if split else row.stride
        k, mid, out = row.kernel, row.expanded, row.out
        self.with_cp = with_cp

        first = dfc if position in ('expanded', 'both') else None
        second = dfc if position in ('output', 'both') else None
        self.ghost1 = GhostModule(in_channels, mid, dfc=first, **ghost)
        self.conv_dw, self.bn_dw = nn.Identity(), nn.Identity()
        if row.stride > 1:
            self.conv_dw, self.bn_dw = conv_norm(
                mid, mid, k, stride, groups=mid, branches=branches, **layers
            )
        self.split = SplitPhases() if split else nn.Identity()
        self.se = nn.Identity()
        if row.se_ratio:
            self.se = SqueezeExcite(mid, row.se_ratio, conv_cfg, act_cfg)
        self.ghost2 = GhostModule(mid, out, activate=False, dfc=second, **ghost)
        self.shortcut = nn.Identity()
        if in_channels != out or row.stride > 1:
            self.shortcut = nn.Sequential(
                *conv_norm(in_channels, in_channels, k, stride, in_channels, **layers),
                *conv_norm(in_channels, out, **layers),
            )
        self.drop_path = DropPath(drop_path) if drop_path else None
        self.phases = phases

    def _forward(self, x: Tensor) -> Tensor:
        residual = self.bn_dw(self.conv_dw(self.ghost1(x)))
        residual = self.se(self.split(residual))
        out = self.ghost2(residual)
        if self.drop_path is not None and self.training:
            # All phases of a sample are dropped, or none.
            out = self.drop_path(out.unflatten(0, (-1, self.phases))).flatten(0, 1)
        out += self.split(self.shortcut(x))  # in place: 1 to 5 % of inference
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out, ceil(H / stride), ceil(W / stride)).

        With ``split`` the result is (4 * N, out, ceil(H / 2), ceil(W / 2)).
        """
        if self.with_cp and torch.is_grad_enabled():
            return checkpointed(self, self._forward, x)
        return self._forward(x)


class GhostNet(Backbone):
    """The network behind the backbones and the classifier.

    Args:
        widen_factor: Width multiplier; the releases have 0.5 to 1.7.
        in_channels: Channels of the images.
        out_indices: Stages to return, 0 to 5 or negative, increasing; an int is one stage.
            The output of a stage is that of its last block. Stages 0 to 4 have strides 2
            to 32, stage 5 is the last 1x1 convolution, at the stride of stage 4. Nothing
            past the last one is built.
        frozen_stages: -1 freezes nothing, 0 the stem, k the stem and stages 0 to k - 1:
            no gradient, and no running statistic moves.
        output_stride: 32, 16 or 8: the stride of the last stages. 16 and 8 are exact a
            trous forms of the network (see docs/segmentation.md).
        dfc: DFC attention: the choices that differ from :data:`RELEASE_DFC`, or None for
            no attention. ``stages``: the bottlenecks whose input comes from these stages
            (0 to 4) have it; ``position``: ``'expanded'`` (features of the first ghost
            module), ``'output'`` (of the second) or ``'both'``; ``kernel_size``: a size,
            or one for each of ``stages``; the rest are arguments of
            :class:`DFCAttention`.
        drop_path_rate: Stochastic depth rate of the last bottleneck; it grows linearly.
        conv_cfg: Convolutions; None is ``nn.Conv2d``.
        norm_cfg: Normalizations; None is ``dict(type='BN')``.
        act_cfg: Activations; None is ``dict(type='ReLU')``.
        norm_eval: Keep normalizations in evaluation mode while training.
        with_cp: Compute each bottleneck again in backward, to save memory. Results and
            running statistics are the same.
        deploy: Build the form of :meth:`switch_to_deploy`, for a checkpoint in that form.
        init_cfg: Initialization; None leaves PyTorch's, as the release does. For
            ``dict(type='Pretrained', checkpoint=...)`` see docs/weights.md.
        branches: Branches of each convolution while training: 0, or 3 as in GhostNetV3.

    Raises:
        ValueError: If ``out_indices``, ``frozen_stages``, ``output_stride`` or ``dfc`` is
            wrong.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (1, 2, 3, 4),
        frozen_stages: int = -1,
        output_stride: int = 32,
        dfc: Cfg | None = RELEASE_DFC,
        drop_path_rate: float = 0.0,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        deploy: bool = False,
        init_cfg: Cfg | list[Cfg] | None = None,
        branches: int = 0,
    ) -> None:
        super().__init__(out_indices, frozen_stages, NUM_STAGES, norm_eval, init_cfg)
        check_choice('output_stride', output_stride, (8, 16, 32))
        layers = dict(
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg or dict(type='BN'),
            act_cfg=act_cfg or dict(type='ReLU'),
        )
        self.widen_factor = widen_factor
        self.in_channels = in_channels
        self.output_stride = output_stride

        channels = self._scaled(STEM_CHANNELS)
        self.conv_stem = conv(conv_cfg, in_channels, channels, 3, stride=2)
        self.bn1 = norm(layers['norm_cfg'], channels)
        self.act1 = act(layers['act_cfg'])

        # Parameters past the last output would never get a gradient: they are not built.
        last = max(self.out_indices)
        attention = dfc_by_bottleneck(dfc)
        self.blocks = nn.ModuleList()
        self.levels = []  # of each group: stage, and how often its map is split
        self.stage_channels, self.stage_strides = [], []
        stride, splits, depth = 2, 0, 0
        for stage, groups in enumerate(STAGES[: last + 1]):
            for group in groups:
                self.blocks.append(nn.Sequential())
                for row in group:
                    split = row.stride == 2 and stride == output_stride
                    splits += split
                    stride *= 1 if split else row.stride
                    row = row._replace(
                        expanded=self._scaled(row.expanded), out=self._scaled(row.out)
                    )
                    block = GhostBottleneck(
                        channels,
                        row,
                        dfc=attention[depth],
                        drop_path=drop_path_rate * depth / (NUM_BOTTLENECKS - 1),
                        phases=4**splits,
                        split=split,
                        with_cp=with_cp,
                        branches=branches,
                        **layers,
                    )
                    self.blocks[-1].append(block)
                    channels = row.out
                    depth += 1
                self.levels.append((stage, splits))
            self.stage_channels.append(channels)
            self.stage_strides.append(stride)
        if last == NUM_STAGES - 1:
            out = self._scaled(LAST_CHANNELS)
            layer = OrderedDict(
                conv=conv(conv_cfg, channels, out),
                bn1=norm(layers['norm_cfg'], out),
                act1=act(layers['act_cfg']),
            )
            self.blocks.append(nn.Sequential(nn.Sequential(layer)))
            self.levels.append((last, splits))
            self.stage_channels.append(out)
            self.stage_strides.append(stride)
        self.merge = MergePhases()
        self.freeze()
        if deploy:
            self.switch_to_deploy()

    def _scaled(self, channels: int) -> int:
        return make_divisible(channels * self.widen_factor)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: Images, (N, in_channels, H, W), of any size from 1 px.

        Returns:
            For each of ``out_indices`` a map, (N, C, ceil(H / s), ceil(W / s)) with C of
            ``out_channels`` and s of ``out_strides``.
        """
        x = self.act1(self.bn1(self.conv_stem(x)))
        size = x.shape[2:]  # of the last map that was not split into phases
        outs = {}
        for group, (stage, splits) in zip(self.blocks, self.levels):
            x = group(x)
            if splits == 0:
                size = x.shape[2:]
            if stage in self.out_indices:  # the last group of a stage is the one kept
                outs[stage] = x, size, splits
        return tuple(self.merge(*out) for out in outs.values())

    def frozen_modules(self) -> Iterator[nn.Module]:
        """Yield the stem and the groups that ``frozen_stages`` freezes."""
        if self.frozen_stages >= 0:
            yield from (self.conv_stem, self.bn1)
        for group, (stage, _) in zip(self.blocks, self.levels):
            if stage < self.frozen_stages:
                yield group

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return the layer of a parameter and the number of layers.

        mmpretrain's ``LearningRateDecayOptimWrapperConstructor`` calls it. The stem is
        layer 0, each bottleneck and the last convolution one more, neck and head the last.

        Args:
            param_name: Name in the whole model.
            prefix: Prefix of the backbone's names, such as ``'backbone.'``.
        """
        starts = [1]  # the layer of each group's first block
        for group in self.blocks:
            starts.append(starts[-1] + len(group))
        head = starts[-1]
        if param_name.startswith(prefix):
            part, *indices = param_name[len(prefix) :].split('.')
            if part in ('conv_stem', 'bn1'):
                return 0, head + 1
            if part == 'blocks':
                return starts[int(indices[0])] + int(indices[1]), head + 1
        return head, head + 1

    @property
    def deploy(self) -> bool:
        """Whether the batch norms are folded into the convolutions."""
        return isinstance(self.bn1, nn.Identity)

    def switch_to_deploy(self) -> 'GhostNet':
        """Fold batch norms and branches into the convolutions, for inference.

        The outputs are the same up to rounding. GhostNetV3 becomes a GhostNetV2 with
        batch norms folded. The network cannot be trained any further.

        Returns:
            The network itself.
        """
        fold(self)
        self.requires_grad_(False)
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any
    ) -> None:
        # mmengine loads with strict=False and only warns: weights of another form would
        # leave the network half random.
        names = dict(self.named_parameters())
        for name, what in FORMS.items():
            theirs, ours = prefix + name in state_dict, name in names
            if f'{prefix}conv_stem.weight' in state_dict and theirs != ours:
                raise WeightsError(
                    f'{type(self).__name__} is {"" if ours else "not "}{what}, the '
                    f'weights are {"" if theirs else "not "}so: build the network that '
                    "the weights are of (deploy=True or not, type='GhostNetV3'), load "
                    'them, then call switch_to_deploy() if it is to be deployed'
                )
        super()._load_from_state_dict(state_dict, prefix, *args)


# What the name of a weight shows.
FORMS = {
    'conv_stem.bias': 'deployed (batch norms folded)',
    'blocks.0.0.ghost1.primary_conv.0.convs.0.conv.weight': 'a GhostNetV3 with branches',
}


@register(MODELS)
class GhostNetV1(GhostNet):
    """GhostNet backbone (`CVPR 2020 <https://arxiv.org/abs/1911.11907>`_).

    Args:
        widen_factor: Width multiplier.
        **kwargs: Arguments of :class:`GhostNet` except ``dfc`` and ``branches``.
    """

    def __init__(self, widen_factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(widen_factor, dfc=None, **kwargs)


@register(MODELS)
class GhostNetV2(GhostNet):
    """GhostNetV2 backbone (`NeurIPS 2022 <https://arxiv.org/abs/2211.12905>`_).

    The arguments are those of :class:`GhostNet`.

    Example:
        >>> import torch
        >>> from mmghost.models import GhostNetV2
        >>> backbone = GhostNetV2(out_indices=(1, 2, 3, 4)).eval()
        >>> [tuple(out.shape) for out in backbone(torch.rand(1, 3, 224, 224))]
        [(1, 24, 56, 56), (1, 40, 28, 28), (1, 112, 14, 14), (1, 160, 7, 7)]
        >>> backbone.out_channels, backbone.out_strides
        ((24, 40, 112, 160), (4, 8, 16, 32))
    """


@register(MODELS)
class GhostNetV3(GhostNet):
    """GhostNetV3 backbone (`2024 <https://arxiv.org/abs/2404.11202>`_).

    GhostNetV2 whose primary convolutions, cheap operations and strided depthwise
    convolutions are sums of branches while training (:class:`.layers.RepConv`: three
    convolutions, a 1x1 convolution beside a 3x3 or 5x5, a normalization beside a cheap
    operation), as timm and the authors' ``ghostnetv3_pytorch`` have them. Folded by
    ``switch_to_deploy()`` it has the graph, the names and the cost of GhostNetV2.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, branches=3, **kwargs)
