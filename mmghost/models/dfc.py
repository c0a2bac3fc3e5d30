"""DFC attention: decoupled fully connected attention of GhostNetV2 (section 3.2).

Two 1-D depthwise convolutions, one along each row and one along each column, stand for
the two decoupled fully connected layers of the paper, on a map of half the size.
"""

import itertools

import torch
import torch.fx
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..registry import MODELS, register
from .arguments import (
    check_bool,
    check_cfg,
    check_choice,
    check_int,
    check_kernel_size,
)
from .layers import Cfg, conv, norm
from .stepping import run

DOWNSAMPLES = ('avg', 'max', 'conv', 'none')
GATES = ('sigmoid', 'hard_sigmoid', 'clip', 'none')
GATE_POSITIONS = ('before', 'after')
UPSAMPLES = ('nearest', 'bilinear', 'bicubic')
# Larger than any map that there is; past it, memory would run out.
MAX_RATIO = 128


class _Clip(nn.Module):
    """Clamp to [0, 1]: the cheapest of the paper's gates (table 9)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0.0, 1.0)


# The release drops the rows and columns that do not fill a window, and fails on a map
# smaller than one window. Here such a map is pooled whole. torch.fx cannot look into
# these two functions, which ask for sizes, and takes each for one operator.
@torch.fx.wrap
def _pool_windows(x: Tensor, ratio: int, average: bool) -> Tensor:
    kernel = [ratio, ratio]
    if x.shape[2] < ratio or x.shape[3] < ratio:
        kernel = [min(ratio, x.shape[2]), min(ratio, x.shape[3])]
    if average:
        return F.avg_pool2d(x, kernel, kernel)
    return F.max_pool2d(x, kernel, kernel)


@torch.fx.wrap
def _fill_window(x: Tensor, ratio: int) -> Tensor:
    height, width = x.shape[2], x.shape[3]
    if height < ratio or width < ratio:
        missing = [0, max(0, ratio - width), 0, max(0, ratio - height)]
        x = F.pad(x, missing, mode='replicate')
    return x


def _gate(name: str) -> nn.Module:
    return {
        'sigmoid': nn.Sigmoid,
        'hard_sigmoid': nn.Hardsigmoid,
        'clip': _Clip,
        'none': nn.Identity,
    }[name]()


@register(MODELS)
class DFCAttention(nn.Sequential):
    """A gate in [0, 1] for every position and channel of another map.

    Down-sampling, 1x1 convolution, 1xK and Kx1 depthwise convolutions (each with a
    normalisation, none with an activation), gate and up-sampling. The defaults are the
    authors' release. The six weighted layers are the children ``0`` to ``5``, as in the
    release's ``short_conv``, so that its files load by name.

    Args:
        in_channels: Channels of the map that the gate is computed from.
        out_channels: Channels of the map that the gate is for.
        kernel_size: K, odd. At a reduced map of stride ``ratio``, the gate of a pixel
            sees ``ratio * K`` px along its row and column.
        downsample: ``'avg'`` or ``'max'`` pooling, ``'conv'`` (a depthwise convolution
            of kernel and stride ``ratio``, with a normalisation) or ``'none'``.
        ratio: How many times smaller the map of the attention is; None means 2, or 1
            where ``downsample='none'``.
        gate: ``'sigmoid'``, ``'hard_sigmoid'``, ``'clip'`` (to [0, 1]) or ``'none'``.
        gate_position: Gate ``'before'`` or ``'after'`` up-sampling.
        upsample: ``'nearest'``, ``'bilinear'`` or ``'bicubic'``.
        align_corners: As in :func:`torch.nn.functional.interpolate`; not for nearest.
        conv_cfg: Convolutions, but for that of ``downsample='conv'``; None is
            ``nn.Conv2d``.
        norm_cfg: Normalisations; None is batch normalisation.

    Raises:
        TypeError, ValueError: If an argument is wrong, or two do not go together. The
            message names them.

    Example:
        >>> x, y = torch.rand(1, 16, 56, 56), torch.rand(1, 48, 56, 56)
        >>> gate = DFCAttention(16, 48)(x, y)
        >>> (y * gate).shape
        torch.Size([1, 48, 56, 56])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 5,
        downsample: str = 'avg',
        ratio: int | None = None,
        gate: str = 'sigmoid',
        gate_position: str = 'before',
        upsample: str = 'nearest',
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
    ) -> None:
        check_int('in_channels', in_channels, 1)
        check_int('out_channels', out_channels, 1)
        check_kernel_size('kernel_size', kernel_size)
        check_choice('downsample', downsample, DOWNSAMPLES)
        check_choice('gate', gate, GATES)
        check_choice('gate_position', gate_position, GATE_POSITIONS)
        check_choice('upsample', upsample, UPSAMPLES)
        check_bool('align_corners', align_corners)
        if ratio is None:
            ratio = 1 if downsample == 'none' else 2
        check_int('ratio', ratio, 1, MAX_RATIO)
        if (ratio == 1) != (downsample == 'none'):
            raise ValueError(
                f'ratio={ratio} does not go with downsample={downsample!r}: ratio 1 is '
                "downsample='none', every other downsample needs a ratio of at least 2"
            )
        if align_corners and upsample == 'nearest':
            raise ValueError(
                "align_corners=True does not go with upsample='nearest', which has no "
                "corners to align: use 'bilinear' or 'bicubic'"
            )
        norm_cfg = norm_cfg or dict(type='BN')
        check_cfg('norm_cfg', norm_cfg)
        check_cfg('conv_cfg', conv_cfg, optional=True)

        out, k = out_channels, kernel_size
        super().__init__(
            conv(conv_cfg, in_channels, out),
            norm(norm_cfg, out),
            conv(conv_cfg, out, out, (1, k), groups=out),
            norm(norm_cfg, out),
            conv(conv_cfg, out, out, (k, 1), groups=out),
            norm(norm_cfg, out),
        )
        self.kernel_size = kernel_size
        self.downsample = downsample
        self.ratio = ratio
        self.gate_position = gate_position
        self.upsample = upsample
        # interpolate() wants None, not False, for modes without corners.
        self.align_corners = None if upsample == 'nearest' else align_corners
        self.gate = _gate(gate)
        self.reduce = nn.Identity()
        if downsample == 'conv':
            # No padding: a window must hold the pixels that it stands for.
            self.reduce = nn.Sequential(
                nn.Conv2d(
                    in_channels,
                    in_channels,
                    ratio,
                    ratio,
                    groups=in_channels,
                    bias=False,
                ),
                norm(norm_cfg, in_channels),
            )

    def _down(self, x: Tensor) -> Tensor:
        if self.ratio == 1:
            return x
        if self.downsample == 'conv':
            return self.reduce(_fill_window(x, self.ratio))
        return _pool_windows(x, self.ratio, self.downsample == 'avg')

    def logits(self, x: Tensor) -> Tensor:
        """Compute the attention before gate and up-sampling.

        Args:
            x: Input map, (N, in_channels, H, W).

        Returns:
            (N, out_channels, H // ratio, W // ratio), each side at least 1.
        """
        x = self[1](self[0](self._down(x)))
        x = self[3](self[2](x))
        return self[5](self[4](x))

    @property
    def repeats(self) -> bool:
        """Whether each pixel of the gate is only repeated on its way to full size."""
        return self.gate_position == 'before' and self.upsample == 'nearest'

    def small_gate(self, x: Tensor) -> Tensor:
        """Compute the gate before it is up-sampled (only where :attr:`repeats`).

        Args:
            x: Input map, (N, in_channels, H, W).

        Returns:
            (N, out_channels, H // ratio, W // ratio).
        """
        return self.gate(self.logits(x))

    @torch.jit.unused
    def stepped_gate(self, x: Tensor) -> Tensor:
        """Compute :meth:`small_gate` by :func:`mmghost.models.stepping.run`."""
        layers = itertools.islice(self._modules.values(), 6)
        return run(self._down(x), *layers, self.gate)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Compute the gate of ``target`` from ``x``.

        Args:
            x: Input map, (N, in_channels, H, W).
            target: The map that is to be gated; only its height and width are used.

        Returns:
            The gate, (N, out_channels, height and width of ``target``).
        """
        x = self.logits(x)
        if self.gate_position == 'before':
            x = self.gate(x)
        x = self.enlarge(x, target)
        if self.gate_position == 'after':
            x = self.gate(x)
        return x

    def enlarge(self, x: Tensor, target: Tensor) -> Tensor:
        """Up-sample the attention to the size of a map.

        Args:
            x: The attention, (N, out_channels, h, w).
            target: The map; only its height and width are used.

        Returns:
            (N, out_channels, height and width of ``target``).
        """
        if self.ratio == 1:
            return x
        return F.interpolate(
            x,
            size=target.shape[2:],
            mode=self.upsample,
            align_corners=self.align_corners,
        )
