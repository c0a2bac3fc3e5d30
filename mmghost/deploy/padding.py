"""Ghost features padded with channels of zeros, the same numbers in less time.

ONNX Runtime keeps a map in blocks of 16 channels between convolutions, if all its parts
fill them; for others it copies the map back and forth. The halves of a ghost module are
of 36, 60, 100 ... channels: a fifth to a quarter of the time goes into copies.
"""

import torch
import torch.nn as nn
from torch import Tensor

from ..models import DFCAttention
from ..models.ghostnet import GhostBottleneck, GhostModule, GhostNet
from .runtime.images import up_to

BLOCK = 16


def padded(channels: int, block: int = BLOCK) -> Tensor:
    """Return which channels of a padded map are those of the map, booleans."""
    return torch.arange(up_to(channels, block)) < channels


def halves(channels: int) -> Tensor:
    """Return the same for a ghost module's output: both halves are padded."""
    return padded(channels // 2).repeat(2)


class PaddedGhostNet(nn.Module):
    """A deployed GhostNet with padded channels inside.

    Args:
        net: The network; it is changed.
    """

    def __init__(self, net: GhostNet) -> None:
        super().__init__()
        kept = pad(
            net.conv_stem,
            padded(net.in_channels, 1),
            halves(net.conv_stem.out_channels),
        )
        by_stage = {}
        for group, (stage, _) in zip(net.blocks, net.levels):
            for block in group:
                if isinstance(block, GhostBottleneck):
                    kept = pad_bottleneck(block, kept)
                else:  # the last convolution
                    kept = pad(block.conv, kept, padded(block.conv.out_channels, 1))
            by_stage[stage] = kept.nonzero()[:, 0]
        self.net = net
        self.kept = [by_stage[stage] for stage in net.out_indices]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps of the network, without the padding."""
        outs = zip(self.net(x), self.kept)
        return tuple(
            out if len(kept) == out.shape[1] else out[:, kept] for out, kept in outs
        )


def pad_bottleneck(block: GhostBottleneck, inputs: Tensor) -> Tensor:
    """Pad a bottleneck, and return which channels of its output are kept."""
    middle = pad_ghost(block.ghost1, inputs)
    if isinstance(block.conv_dw, nn.Conv2d):
        pad(block.conv_dw, middle, middle)
    if not isinstance(block.se, nn.Identity):
        inner = padded(block.se.conv_reduce.out_channels, 1)
        pad(block.se.conv_reduce, middle, inner)
        pad(block.se.conv_expand, inner, middle)
    outputs = pad_ghost(block.ghost2, middle)
    for conv in block.shortcut.children():
        if isinstance(conv, nn.Conv2d):
            pad(conv, inputs, inputs if conv.groups > 1 else outputs)
    return outputs


def pad_ghost(ghost: GhostModule, inputs: Tensor) -> Tensor:
    """Pad a ghost module, and return which channels of its output are kept."""
    primary, cheap = ghost.primary_conv[0], ghost.cheap_operation[0]
    half, outputs = padded(primary.out_channels), halves(2 * primary.out_channels)
    pad(primary, inputs, half)
    pad(cheap, half, half)
    if isinstance(ghost.short_conv, DFCAttention):
        for conv in ghost.short_conv.reduce.modules():
            if isinstance(conv, nn.Conv2d):
                pad(conv, inputs, inputs)
        for i in (0, 2, 4):
            pad(ghost.short_conv[i], inputs if i == 0 else outputs, outputs)
    return outputs


@torch.no_grad()
def pad(conv: nn.Conv2d, inputs: Tensor, outputs: Tensor) -> Tensor:
    """Pad a convolution, and return which channels of its output are kept."""
    weight, bias = conv.weight, conv.bias.new_zeros(len(outputs))
    if conv.groups > 1:
        conv.groups = len(outputs)
    else:
        weight = weight.new_zeros(len(weight), len(inputs), *weight.shape[2:])
        weight[:, inputs] = conv.weight
    wide = weight.new_zeros(len(outputs), *weight.shape[1:])
    wide[outputs], bias[outputs] = weight, conv.bias
    conv.weight, conv.bias = nn.Parameter(wide), nn.Parameter(bias)
    conv.in_channels, conv.out_channels = len(inputs), len(outputs)
    return outputs
