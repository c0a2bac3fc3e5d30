"""GhostNetV1 and GhostNetV2 as multi-scale backbones.

GhostNet: More Features from Cheap Operations (CVPR 2020), and GhostNetV2: Enhance Cheap
Operation with Long-Range Attention (NeurIPS 2022). Arithmetic and the names of the
weights are those of the authors' release and of timm.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import torch
import torch.nn as nn
from mmcv.cnn.bricks import DropPath
from mmengine.logging import print_log
from torch import Tensor

from ..registry import MODELS, register
from .arguments import (
    MAX_CHANNELS,
    MAX_WIDTH,
    check_bool,
    check_cfg,
    check_choice,
    check_increasing,
    check_init_cfg,
    check_int,
    check_kernel_size,
    check_layers,
    check_number,
    normalise_indices,
)
from .atrous import merge_phases, split_phases
from .backbone import Backbone, checkpointed
from .dfc import DFCAttention
from .fused import concat_add, runs_eagerly
from .ghost_module import GhostModule
from .layers import Cfg, SqueezeExcite, act, conv, make_divisible, norm
from .stepping import is_watched, run, steppable, steps


class Row(NamedTuple):
    """One bottleneck of the table, at width 1.0."""

    kernel: int
    expanded: int
    out: int
    se_ratio: float
    stride: int


# Both papers' table: a list of stages 0..4, a stage a list of the release's groups
# (the S of its names `blocks.S.B`), a group a list of bottlenecks. Stage i has
# stride 2 ** (i + 1); stage 5 is the last 1x1 convolution, the release's `blocks.9`.
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
NUM_STAGES = 6
NUM_BOTTLENECKS = sum(len(group) for stage in STAGES for group in stage)

# Where and how DFC attention stands in the release. `stages` chooses the bottlenecks,
# `position` the ghost module; everything else is DFCAttention's. A bottleneck counts to
# the stage that its input comes from, for that is the stride at which its attention
# works: so the first two bottlenecks, which have none in the release, are stage 0.
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
DFC_POSITIONS = ('expanded', 'output', 'both')


def dfc_by_bottleneck(dfc: Cfg | None) -> list[Cfg | None]:
    """Tell for each bottleneck which DFC attention it has.

    Args:
        dfc: The choices that differ from :data:`RELEASE_DFC`, or None for no attention.
            ``kernel_size`` is an int, or one int for each of ``stages``.

    Returns:
        For each of the 16 bottlenecks the arguments of :class:`DFCAttention` (beside
        channels and layers) with the key ``position``, or None.

    Raises:
        TypeError, ValueError: If a choice is wrong. The message names it as ``dfc.X``.
    """
    if dfc is None:
        return [None] * NUM_BOTTLENECKS
    if not isinstance(dfc, dict):
        raise TypeError(f'dfc must be a dict or None, got {dfc!r}')
    unknown = sorted(set(dfc) - set(RELEASE_DFC), key=str)
    if unknown:
        raise ValueError(
            f'dfc has no choice {unknown[0]!r}; it has {", ".join(RELEASE_DFC)}'
        )
    choices = {**RELEASE_DFC, **dfc}
    stages = check_increasing('dfc.stages', choices.pop('stages'), 0, len(STAGES) - 1)
    check_choice('dfc.position', choices['position'], DFC_POSITIONS)
    kernels = choices.pop('kernel_size')
    if isinstance(kernels, Sequence) and not isinstance(kernels, str):
        if len(kernels) != len(stages):
            raise ValueError(
                f'dfc.kernel_size={kernels!r} must be an int or have one for each of '
                f'dfc.stages={stages}'
            )
    else:
        kernels = [kernels] * len(stages)
    for kernel in kernels:
        check_kernel_size('dfc.kernel_size', kernel)
    try:  # the choices that are DFCAttention's own
        DFCAttention(1, 1, **{k: v for k, v in choices.items() if k != 'position'})
    except (TypeError, ValueError) as error:
        raise type(error)(f'dfc: {error}') from None

    by_stage = {
        stage: {**choices, 'kernel_size': kernel}
        for stage, kernel in zip(stages, kernels)
    }
    plan, stage = [], 0
    for row in (row for groups in STAGES for group in groups for row in group):
        plan.append(by_stage.get(stage))
        stage += row.stride == 2
    return plan


@steppable
class GhostBottleneck(nn.Module):
    """Ghost module, depthwise convolution where it strides, SE, ghost module.

    Args:
        in_channels: Input channels.
        row: Kernel, expanded and output channels (scaled by the width), SE ratio and
            stride.
        dfc: An item of :func:`dfc_by_bottleneck`.
        drop_path: Probability that the residual branch of a sample is dropped.
        split: Leave the stride of 2 out, and go on with the four phases of the dense
            map in the batch (see :mod:`mmghost.models.atrous`).
        with_cp: Trade compute for memory by checkpointing.
        conv_cfg: Convolutions.
        norm_cfg: Normalisations.
        act_cfg: Activations.
    """

    split: Final[bool]
    with_cp: Final[bool]

    def __init__(
        self,
        in_channels: int,
        row: Row,
        dfc: Cfg | None = None,
        drop_path: float = 0.0,
        split: bool = False,
        with_cp: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        norm_cfg = norm_cfg or dict(type='BN')
        layers: Cfg = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        dfc = dict(dfc or {})
        position = dfc.pop('position', None)
        first = dfc if position in ('expanded', 'both') else None
        second = dfc if position in ('output', 'both') else None
        stride = 1 if split else row.stride
        mid, out, k = row.expanded, row.out, row.kernel
        self.split = split
        self.with_cp = with_cp

        self.ghost1 = GhostModule(in_channels, mid, dfc=first, **layers)
        self.conv_dw: nn.Module | None = None
        self.bn_dw: nn.Module | None = None
        if row.stride > 1:
            self.conv_dw = conv(conv_cfg, mid, mid, k, stride, groups=mid)
            self.bn_dw = norm(norm_cfg, mid)
        self.se: nn.Module | None = None
        if row.se_ratio:
            self.se = SqueezeExcite(mid, row.se_ratio, conv_cfg, act_cfg)
        self.ghost2 = GhostModule(mid, out, activate=False, dfc=second, **layers)
        self.shortcut = nn.Sequential()
        if in_channels != out or row.stride > 1:
            self.shortcut = nn.Sequential(
                conv(conv_cfg, in_channels, in_channels, k, stride, groups=in_channels),
                norm(norm_cfg, in_channels),
                conv(conv_cfg, in_channels, out),
                norm(norm_cfg, out),
            )
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def _forward(self, x: Tensor) -> Tensor:
        branch = self.ghost1(x)
        if self.conv_dw is not None:
            branch = self.bn_dw(self.conv_dw(branch))
        if self.split:
            branch = split_phases(branch)
        if self.se is not None:
            branch = self.se(branch)
        shortcut = self.shortcut(x)
        if self.split:
            shortcut = split_phases(shortcut)
        if not torch.jit.is_scripting() and self._adds_halves(branch):
            return self._added(branch, shortcut)
        return self.drop_path(self.ghost2(branch)) + shortcut

    @torch.jit.unused
    def _adds_halves(self, branch: Tensor) -> bool:
        drops = self.training and isinstance(self.drop_path, DropPath)
        return (
            not drops
            and self.ghost2.short_conv is None
            and runs_eagerly(branch)
            and not is_watched(self.ghost2)
        )

    @torch.jit.unused
    def _added(self, branch: Tensor, shortcut: Tensor) -> Tensor:
        return concat_add(*self.ghost2.halves(branch), shortcut)

    @torch.jit.unused
    def _stepped(self, x: Tensor) -> Tensor:
        branch = run(x, self.ghost1, self.conv_dw, self.bn_dw)
        if self.split:
            branch = split_phases(branch)
        branch = run(branch, self.se)
        shortcut = run(x, self.shortcut)
        if self.split:
            shortcut = split_phases(shortcut)
        if self._adds_halves(branch):
            return concat_add(*self.ghost2.stepped_halves(branch), shortcut)
        return run(branch, self.ghost2, self.drop_path) + shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out, ceil(H / stride), ceil(W / stride)).

        With ``split`` the result is (4 * N, out, ceil(H / 2), ceil(W / 2)).
        """
        if torch.jit.is_scripting() or not self.with_cp or not torch.is_grad_enabled():
            return self._forward(x)
        return self._checkpointed(x)

    @torch.jit.unused
    def _checkpointed(self, x: Tensor) -> Tensor:
        return checkpointed(self, self._forward, x)


@steppable
class ConvNormAct(nn.Module):
    """The last 1x1 convolution of the trunk, with the release's names."""

    def __init__(
        self, in_channels: int, out_channels: int, conv_cfg, norm_cfg, act_cfg
    ) -> None:
        super().__init__()
        self.conv = conv(conv_cfg, in_channels, out_channels)
        self.bn1 = norm(norm_cfg, out_channels)
        self.act1 = act(act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self.act1(self.bn1(self.conv(x)))

    @torch.jit.unused
    def _stepped(self, x: Tensor) -> Tensor:
        return run(x, self.conv, self.bn1, self.act1)


@steppable
class Group(nn.Sequential):
    """One of the release's ``blocks.S``.

    Args:
        blocks: Its bottlenecks.
        stage: The stage that it belongs to.
        tap: Whether its output is one of the backbone's.
        splits: How often the map has been split into phases at its output.
    """

    tap: Final[bool]
    splits: Final[int]

    def __init__(
        self, blocks: Sequence[nn.Module], stage: int, tap: bool, splits: int
    ) -> None:
        super().__init__(*blocks)
        self.stage = stage
        self.tap = tap
        self.splits = splits

    @torch.jit.unused
    def _stepped(self, x: Tensor) -> Tensor:
        return run(x, *self._modules.values())


class GhostNet(Backbone):
    """What GhostNetV1, GhostNetV2 and the classifier share.

    Their arguments are described in :class:`GhostNetV2`.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (1, 2, 3, 4),
        frozen_stages: int = -1,
        output_stride: int = 32,
        dfc: Cfg | None = None,
        drop_path_rate: float = 0.0,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        deploy: bool = False,
        init_cfg: Cfg | list[Cfg] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        norm_cfg = dict(type='BN') if norm_cfg is None else norm_cfg
        act_cfg = dict(type='ReLU') if act_cfg is None else act_cfg
        check_number('widen_factor', widen_factor, 0, MAX_WIDTH, open_low=True)
        check_int('in_channels', in_channels, 1, MAX_CHANNELS)
        check_int('frozen_stages', frozen_stages, -1, NUM_STAGES)
        check_choice('output_stride', output_stride, (8, 16, 32))
        check_number('drop_path_rate', drop_path_rate, 0, 1)
        check_cfg('conv_cfg', conv_cfg, optional=True)
        check_cfg('norm_cfg', norm_cfg)
        check_cfg('act_cfg', act_cfg)
        check_bool('norm_eval', norm_eval)
        check_bool('with_cp', with_cp)
        check_bool('deploy', deploy)
        check_init_cfg('init_cfg', init_cfg)

        self.widen_factor = widen_factor
        self.in_channels = in_channels
        self.out_indices = normalise_indices(out_indices, NUM_STAGES)
        self.frozen_stages = frozen_stages
        self.output_stride = output_stride
        self.norm_eval = norm_eval
        self.deploy = False
        self._build(dfc, drop_path_rate, with_cp, conv_cfg, norm_cfg, act_cfg)
        # Here and not only in train(): DistributedDataParallel is wrapped around the
        # model before train() is called, and dislikes parameters without a gradient.
        self._freeze()
        if deploy:
            self.switch_to_deploy()

    def _build(
        self,
        dfc: Cfg | None,
        drop_path_rate: float,
        with_cp: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
        act_cfg: Cfg,
    ) -> None:
        layers: Cfg = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        plan = iter(dfc_by_bottleneck(dfc))
        last = max(self.out_indices)
        channels = self._scale(STEM_CHANNELS)
        check_layers(channels, **layers)
        self.conv_stem = conv(conv_cfg, self.in_channels, channels, 3, stride=2)
        self.bn1 = norm(norm_cfg, channels)
        self.act1 = act(act_cfg)

        # Modules that no output needs are not built: they would be parameters without
        # a gradient.
        self.blocks = nn.ModuleList()
        stride, splits, depth = 2, 0, 0
        stage_channels, stage_strides = [], []
        for i, stage in enumerate(STAGES[: last + 1]):
            for g, group in enumerate(stage):
                blocks = []
                for row in group:
                    split = row.stride == 2 and stride == self.output_stride
                    splits += split
                    stride *= 1 if split else row.stride
                    row = row._replace(
                        expanded=self._scale(row.expanded), out=self._scale(row.out)
                    )
                    block = GhostBottleneck(
                        channels,
                        row,
                        dfc=next(plan),
                        drop_path=drop_path_rate * depth / (NUM_BOTTLENECKS - 1),
                        split=split,
                        with_cp=with_cp,
                        **layers,
                    )
                    blocks.append(block)
                    channels = row.out
                    depth += 1
                tap = g == len(stage) - 1 and i in self.out_indices
                self.blocks.append(Group(blocks, i, tap, splits))
            stage_channels.append(channels)
            stage_strides.append(stride)
        if last == NUM_STAGES - 1:
            out = self._scale(LAST_CHANNELS)
            block = ConvNormAct(channels, out, **layers)
            self.blocks.append(Group([block], last, last in self.out_indices, splits))
            stage_channels.append(out)
            stage_strides.append(stride)
        self._stage_channels = tuple(stage_channels)
        self._stage_strides = tuple(stage_strides)

    def _scale(self, channels: int) -> int:
        return make_divisible(channels * self.widen_factor)

    def forward_trunk(self, x: Tensor):
        """Compute what :meth:`forward` of a backbone returns; apart, for a head on it.

        Args:
            x: Pictures, (N, in_channels, H, W).

        Returns:
            A map for each of ``out_indices``, (N, C, H', W').
        """
        stepping = not torch.jit.is_scripting() and self._steps(x)
        x = self._stem(x) if stepping else self.act1(self.bn1(self.conv_stem(x)))
        height, width = x.shape[2], x.shape[3]
        # A tuple that grows, in a loop that TorchScript unrolls: the only way there to
        # return a tuple whose length depends on the constructor. For the same reason
        # the type of the result, tuple[Tensor, ...], is not annotated.
        outs = ()
        for i, group in enumerate(self.blocks):
            x = self._group(i, x) if stepping else group(x)
            if group.splits == 0:
                height, width = x.shape[2], x.shape[3]
            if group.tap:
                out = x
                if group.splits == 2:
                    out = merge_phases(out, ((height + 1) // 2, (width + 1) // 2))
                if group.splits >= 1:
                    out = merge_phases(out, (height, width))
                outs = outs + (out,)  # noqa: RUF005 - TorchScript has no unpacking
        return outs

    # TorchScript takes no modules as arguments, hence the number of the group.

    @torch.jit.unused
    def _steps(self, x: Tensor) -> bool:
        return steps(x)

    @torch.jit.unused
    def _stem(self, x: Tensor) -> Tensor:
        return run(x, self.conv_stem, self.bn1, self.act1)

    @torch.jit.unused
    def _group(self, i: int, x: Tensor) -> Tensor:
        return run(x, self.blocks[i])

    def forward(self, x: Tensor):
        """Compute the feature maps.

        Args:
            x: Pictures, (N, in_channels, H, W), of any height and width from 1 px.

        Returns:
            A tuple with one map for each of ``out_indices``, (N, C, ceil(H / s),
            ceil(W / s)) with C of ``out_channels`` and s of ``out_strides``.
        """
        return self.forward_trunk(x)

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says.

        ``type='Pretrained'`` goes through :mod:`mmghost.weights`: files of every origin
        are taken, with or without ``prefix``, and one that does not fit is refused
        (``strict=False`` loads what fits).

        Raises:
            UserError: If a weight file cannot be had, read or loaded.
        """
        from ..weights.loading import strict_init_cfg  # which imports this module

        given = self.init_cfg
        self.init_cfg = strict_init_cfg(given)
        try:
            super().init_weights()
        finally:
            self.init_cfg = given

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Say how deep a parameter lies, for layer-wise decay of the learning rate.

        The stem is layer 0, each bottleneck one more, then the last convolution; all
        that is not of the backbone (neck, head) is one layer more. mmpretrain's
        ``LearningRateDecayOptimWrapperConstructor`` asks for it.

        Args:
            param_name: Name of the parameter in the whole model.
            prefix: What stands before the backbone's own names, ``'backbone.'``.

        Returns:
            The parameter's layer, and the number of layers, the head's included.
        """
        starts = [1]  # the layer of each group's first block
        for group in self.blocks:
            starts.append(starts[-1] + len(group))
        head = starts[-1]
        if not param_name.startswith(prefix):
            return head, head + 1
        name = param_name[len(prefix) :].split('.')
        if name[0] == 'blocks':
            return starts[int(name[1])] + int(name[2]), head + 1
        stem = name[0] in ('conv_stem', 'bn1')
        return 0 if stem else head, head + 1

    def switch_to_deploy(self) -> 'GhostNet':
        """Fold all batch norms into the convolutions, for inference.

        The outputs are the same up to rounding. What has no batch norm stays as it is;
        a network in this form is left alone.

        Returns:
            The backbone itself, which cannot be trained any further.
        """
        # Imported here, for it imports this module, as mmghost.weights does: folding and
        # loading are tables over all the layers, and stand above them. What a person
        # asks of a network by name (deploy=True, init_cfg) still leads up there.
        from ..deploy.fusion import fold

        if not self.deploy:
            fold(self)
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any
    ) -> None:
        """Take a deployed network's weights too, which changes this one's form.

        Raises:
            WeightsError: If this network is deployed and the weights are not.
        """
        folded = f'{prefix}conv_stem.bias' in state_dict
        normed = f'{prefix}bn1.running_mean' in state_dict
        if self.deploy and normed:
            from ..weights.errors import WeightsError

            raise WeightsError(
                f'{type(self).__name__} is in deploy mode and has no batch norms, the '
                'weights to be loaded have them: build it without deploy=True, load '
                'them, then call switch_to_deploy()'
            )
        if folded and not normed and not self.deploy:
            print_log(
                f'{type(self).__name__}: the weights are those of a deployed network; '
                'it is switched to deploy mode, and cannot be trained',
                'current',
                level=logging.WARNING,
            )
            self.switch_to_deploy()
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _frozen(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield self.conv_stem
            yield self.bn1
            for group in self.blocks:
                if group.stage < self.frozen_stages:
                    yield group


@register(MODELS)
class GhostNetV1(GhostNet):
    """GhostNet (V1) backbone: GhostNetV2 without DFC attention.

    The arguments are those of :class:`GhostNetV2`, without ``dfc``.

    Example:
        >>> import torch
        >>> from mmghost.models import GhostNetV1
        >>> outs = GhostNetV1(widen_factor=1.1).eval()(torch.rand(1, 3, 224, 224))
        >>> [tuple(out.shape) for out in outs]
        [(1, 28, 56, 56), (1, 44, 28, 28), (1, 124, 14, 14), (1, 176, 7, 7)]
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (1, 2, 3, 4),
        frozen_stages: int = -1,
        output_stride: int = 32,
        drop_path_rate: float = 0.0,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        deploy: bool = False,
        init_cfg: Cfg | list[Cfg] | None = None,
    ) -> None:
        super().__init__(
            widen_factor=widen_factor,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            output_stride=output_stride,
            dfc=None,
            drop_path_rate=drop_path_rate,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
            deploy=deploy,
            init_cfg=init_cfg,
        )


@register(MODELS)
class GhostNetV2(GhostNet):
    """GhostNetV2 backbone.

    A PyTorch implementation of `GhostNetV2: Enhance Cheap Operation with Long-Range
    Attention <https://arxiv.org/abs/2211.12905>`_, with the arithmetic and the weights'
    names of the authors' release.

    Args:
        widen_factor: Width multiplier; the release has 1.0, 1.3 and 1.6.
        in_channels: Channels of the pictures.
        out_indices: Which stages to return, 0 to 5 or negative, increasing; an int is
            one stage. The output of a stage is that of its last block. Stages 0 to 4
            have strides 2 to 32, stage 5 is the last 1x1 convolution, at the stride of
            stage 4. Nothing past the last one asked for is built.
        frozen_stages: -1 freezes nothing, 0 the stem, k the stem and stages 0..k-1: no
            gradient, and no running statistic moves.
        output_stride: 32, 16 or 8: the stride of the last stages. 16 and 8 leave out
            strides and are exactly à trous (see docs/segmentation.md).
        dfc: DFC attention: a dict of the choices that differ from the release's
            (:data:`RELEASE_DFC`), or None for none (GhostNetV1). Keys: ``stages``
            (0 to 4: the bottlenecks whose input comes from these stages have it),
            ``position`` (``'expanded'``: on the first ghost module, ``'output'``: on
            the second, ``'both'``), ``kernel_size`` (an int, or one for each of
            ``stages``) and the other arguments of :class:`DFCAttention`.
        drop_path_rate: Stochastic depth rate of the last bottleneck; those before it
            have linearly less.
        conv_cfg: Convolutions; None is ``nn.Conv2d``.
        norm_cfg: Normalisations; None is ``dict(type='BN')``.
        act_cfg: Activations; None is ``dict(type='ReLU')``.
        norm_eval: Keep normalisations in evaluation mode while training.
        with_cp: Trade compute for memory: each bottleneck is computed again in the
            backward pass. Results and running statistics are the same as without.
        deploy: Build it in the form of :meth:`switch_to_deploy`, for a checkpoint that
            was written in that form.
        init_cfg: Initialisation; None leaves PyTorch's own, as the release does. For
            ``dict(type='Pretrained', checkpoint=...)`` see docs/weights.md.

    Raises:
        TypeError, ValueError: If an argument is wrong. The message names it, its value
            and what is allowed.

    Example:
        >>> import torch
        >>> from mmghost.models import GhostNetV2
        >>> backbone = GhostNetV2(out_indices=(1, 2, 3, 4)).eval()
        >>> [tuple(out.shape) for out in backbone(torch.rand(1, 3, 224, 224))]
        [(1, 24, 56, 56), (1, 40, 28, 28), (1, 112, 14, 14), (1, 160, 7, 7)]
        >>> backbone.out_channels, backbone.out_strides
        ((24, 40, 112, 160), (4, 8, 16, 32))
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
    ) -> None:
        super().__init__(
            widen_factor=widen_factor,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            output_stride=output_stride,
            dfc=dfc,
            drop_path_rate=drop_path_rate,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
            deploy=deploy,
            init_cfg=init_cfg,
        )
