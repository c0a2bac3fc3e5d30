"""The ghost module: half of the features by a 1x1 convolution, half by a cheap one."""

import math

import torch
import torch.nn as nn
from torch import Tensor

from ..registry import MODELS, register
from .dfc import DFCAttention
from .fused import gated_concat, runs_eagerly
from .layers import Cfg, act, conv, norm
from .stepping import is_watched, run, steppable


@steppable
@register(MODELS)
class GhostModule(nn.Module):
    """Primary convolution, cheap operation, and DFC attention where asked for.

    The primary 1x1 convolution makes ``ceil(out_channels / 2)`` intrinsic features, the
    cheap operation (a 3x3 depthwise convolution) one ghost feature from each; both are
    concatenated and cut to ``out_channels`` (GhostNet, section 3.1). With ``dfc`` the
    result is multiplied with a gate computed from the module's input (GhostNetV2,
    section 3.3). The names of the weights are the release's.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        activate: Whether both halves end in the activation.
        dfc: Arguments of :class:`DFCAttention` beside its channels, conv_cfg and
            norm_cfg; None for no attention.
        conv_cfg: Convolutions; None is ``nn.Conv2d``.
        norm_cfg: Normalisations; None is batch normalisation.
        act_cfg: Activations; None is ReLU.

    Raises:
        TypeError, ValueError: If ``dfc`` is wrong, or one of the three cfgs builds no
            layer. The message names the argument.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        activate: bool = True,
        dfc: Cfg | None = None,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        norm_cfg = norm_cfg or dict(type='BN')
        act_cfg = act_cfg or dict(type='ReLU')
        intrinsic = math.ceil(out_channels / 2)
        self.out_channels = out_channels
        self.odd = out_channels % 2 == 1

        self.primary_conv = nn.Sequential(
            conv(conv_cfg, in_channels, intrinsic), norm(norm_cfg, intrinsic)
        )
        self.cheap_operation = nn.Sequential(
            conv(conv_cfg, intrinsic, intrinsic, 3, groups=intrinsic),
            norm(norm_cfg, intrinsic),
        )
        if activate:
            self.primary_conv.append(act(act_cfg))
            self.cheap_operation.append(act(act_cfg))
        self.short_conv: DFCAttention | None = None
        if dfc is not None:
            self.short_conv = DFCAttention(
                in_channels, out_channels, conv_cfg=conv_cfg, norm_cfg=norm_cfg, **dfc
            )
        self.repeats = self.short_conv is not None and self.short_conv.repeats

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        intrinsic, ghost = self.halves(x)
        if self.short_conv is None:
            return torch.cat((intrinsic, ghost), dim=1)
        if torch.jit.is_scripting() or not self._gates_small(intrinsic):
            out = torch.cat((intrinsic, ghost), dim=1)
            return out * self.short_conv(x, out)
        return self._gated(x, intrinsic, ghost)

    @torch.jit.unused
    def _stepped(self, x: Tensor) -> Tensor:
        intrinsic, ghost = self.stepped_halves(x)
        dfc = self.short_conv
        if dfc is None:
            return torch.cat((intrinsic, ghost), dim=1)
        if self.repeats and not is_watched(dfc):
            return self._multiplied(intrinsic, ghost, dfc.stepped_gate(x))
        out = torch.cat((intrinsic, ghost), dim=1)
        return out * dfc(x, out)

    @torch.jit.unused
    def stepped_halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute :meth:`halves` by :func:`mmghost.models.stepping.run`."""
        intrinsic = run(x, self.primary_conv)
        ghost = run(intrinsic, self.cheap_operation)
        return intrinsic, ghost[:, :-1] if self.odd else ghost

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the intrinsic and the ghost features, before any attention.

        Args:
            x: (N, in_channels, H, W).

        Returns:
            Two maps that are ``out_channels`` together, intrinsic features first.
        """
        intrinsic = self.primary_conv(x)
        ghost = self.cheap_operation(intrinsic)
        return intrinsic, ghost[:, :-1] if self.odd else ghost

    @torch.jit.unused
    def _gates_small(self, intrinsic: Tensor) -> bool:
        return (
            self.repeats and runs_eagerly(intrinsic) and not is_watched(self.short_conv)
        )

    @torch.jit.unused
    def _gated(self, x: Tensor, intrinsic: Tensor, ghost: Tensor) -> Tensor:
        return self._multiplied(intrinsic, ghost, self.short_conv.small_gate(x))

    def _multiplied(self, intrinsic: Tensor, ghost: Tensor, gate: Tensor) -> Tensor:
        out = None if self.odd else gated_concat(intrinsic, ghost, gate)
        if out is None:
            out = torch.cat((intrinsic, ghost), dim=1)
            out = out * self.short_conv.enlarge(gate, out)
        return out
