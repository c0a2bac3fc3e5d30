"""DFC attention: the decoupled fully connected attention of GhostNetV2 (section 3.2)."""

from collections.abc import Sequence
from typing import Any

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..errors import did_you_mean
from ..registry import MODELS, register
from .layers import Cfg, conv, norm

GATES = dict(
    sigmoid=nn.Sigmoid,
    hard_sigmoid=nn.Hardsigmoid,
    clip=lambda: nn.Hardtanh(0.0, 1.0),
    none=nn.Identity,
)
POOLS = dict(avg=nn.AvgPool2d, max=nn.MaxPool2d)
# The choices of DFCAttention that are names.
CHOICES = dict(
    downsample=(*POOLS, 'conv', 'none'),
    gate=tuple(GATES),
    gate_position=('before', 'after'),
    upsample=('nearest', 'bilinear', 'bicubic'),
)


def check_choice(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise a ValueError if ``value`` is not one of ``allowed``."""
    if value not in allowed:
        raise ValueError(
            f'{name}={value!r} must be one of {", ".join(map(repr, allowed))}'
            + did_you_mean(str(value), [a for a in allowed if isinstance(a, str)])
        )


@register(MODELS)
class DFCAttention(nn.Sequential):
    """A gate in [0, 1] for every position and channel of a map.

    Down-sampling, 1x1 convolution, 1xK and Kx1 depthwise convolutions (each with a
    normalization, none with an activation), gate, up-sampling. The two depthwise
    convolutions stand for the paper's two decoupled fully connected layers along the rows
    and columns. The defaults are those of the release, and so are the names of the
    weights: the six layers are children ``0`` to ``5``.

    Args:
        in_channels: Channels of the map that the gate is computed from.
        out_channels: Channels of the map that is gated.
        kernel_size: K, odd, or (height, width) for the Kx1 and the 1xK convolution.
        downsample: ``'avg'`` or ``'max'`` pooling, ``'conv'`` (depthwise, of kernel and
            stride ``ratio``, with a normalization) or ``'none'``.
        ratio: Factor of the down-sampling; default: 2, or 1 for ``'none'``.
        gate: ``'sigmoid'``, ``'hard_sigmoid'``, ``'clip'`` (to [0, 1]) or ``'none'``.
        gate_position: Gate ``'before'`` or ``'after'`` the up-sampling.
        upsample: ``'nearest'``, ``'bilinear'`` or ``'bicubic'``.
        align_corners: As in :func:`torch.nn.functional.interpolate`; not for nearest.
        conv_cfg: Convolutions; None is ``nn.Conv2d``.
        norm_cfg: Normalizations; None is batch norm.

    Raises:
        ValueError: If a choice is unknown or two do not fit together.

    Example:
        >>> x, y = torch.rand(1, 16, 56, 56), torch.rand(1, 48, 56, 56)
        >>> (y * DFCAttention(16, 48)(x, y)).shape
        torch.Size([1, 48, 56, 56])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 5,
        downsample: str = 'avg',
        ratio: int | None = None,
        gate: str = 'sigmoid',
        gate_position: str = 'before',
        upsample: str = 'nearest',
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
    ) -> None:
        check_choice('downsample', downsample, CHOICES['downsample'])
        check_choice('gate', gate, CHOICES['gate'])
        check_choice('gate_position', gate_position, CHOICES['gate_position'])
        check_choice('upsample', upsample, CHOICES['upsample'])
        height, width = (
            (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        )
        if min(height, width) < 1 or height % 2 == 0 or width % 2 == 0:
            raise ValueError(f'kernel_size={kernel_size!r} must be odd')
        if ratio is None:
            ratio = 1 if downsample == 'none' else 2
        if ratio < 1 or (ratio == 1) != (downsample == 'none'):
            raise ValueError(
                f'ratio={ratio} does not fit downsample={downsample!r}: ratio is 1 for '
                "'none' and at least 2 otherwise"
            )
        if align_corners and upsample == 'nearest':
            raise ValueError(
                "align_corners=True needs upsample='bilinear' or 'bicubic'"
            )
        norm_cfg = norm_cfg or dict(type='BN')
        out = out_channels
        super().__init__(
            conv(conv_cfg, in_channels, out),
            norm(norm_cfg, out),
            conv(conv_cfg, out, out, (1, width), groups=out),
            norm(norm_cfg, out),
            conv(conv_cfg, out, out, (height, 1), groups=out),
            norm(norm_cfg, out),
        )
        self.ratio = ratio
        self.gate_position = gate_position
        self.upsample = upsample
        self.align_corners = None if upsample == 'nearest' else align_corners
        self.gate = GATES[gate]()
        self.reduce = nn.Identity()
        if downsample == 'conv':
            window = dict(kernel_size=ratio, stride=ratio, groups=in_channels)
            self.reduce = nn.Sequential(
                nn.Conv2d(in_channels, in_channels, **window, bias=False),
                norm(norm_cfg, in_channels),
            )
        elif downsample in POOLS:
            self.reduce = POOLS[downsample](ratio)

    def logits(self, x: Tensor) -> Tensor:
        """Compute the attention before gate and up-sampling.

        Args:
            x: (N, in_channels, H, W).

        Returns:
            (N, out_channels, H // ratio, W // ratio), at least 1 px.
        """
        height, width = x.shape[2:]
        if height < self.ratio or width < self.ratio:  # the release fails here
            pad = [0, max(0, self.ratio - width), 0, max(0, self.ratio - height)]
            x = F.pad(x, pad, mode='replicate')
        x = self[1](self[0](self.reduce(x)))
        x = self[3](self[2](x))
        return self[5](self[4](x))

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Compute the gate of ``target`` from ``x``.

        Args:
            x: (N, in_channels, H, W).
            target: The map that is gated; only its height and width are used.

        Returns:
            (N, out_channels, height and width of ``target``).
        """
        gate = self.logits(x)
        if self.gate_position == 'before':
            gate = self.gate(gate)
        if self.ratio > 1:
            gate = F.interpolate(
                gate,
                target.shape[2:],
                mode=self.upsample,
                align_corners=self.align_corners,
            )
        return self.gate(gate) if self.gate_position == 'after' else gate
