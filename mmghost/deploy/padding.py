"""Ghost features padded with channels of zeros, the same numbers in less time.

ONNX Runtime keeps a map in blocks of 16 channels between convolutions, if all its parts
fill them; for others it copies the map back and forth. The halves of a ghost module are
of 36, 60, 100 ... channels: a fifth to a quarter of the time goes into copies.
"""

from typing import NamedTuple

import torch
import torch.nn as nn
from torch import Tensor

from ..models import DFCAttention
from ..models.ghostnet import GhostBottleneck, GhostModule, GhostNet
from .runtime.images import up_to

BLOCK = 16


class Layout(NamedTuple):
    """Where the channels of a map are in a padded map, and how many that has."""

    places: Tensor
    total: int


def plain(channels: int, block: int = 1) -> Layout:
    """Return a layout with zeros at the end, up to a multiple of ``block``."""
    return Layout(torch.arange(channels), up_to(channels, block))


def halves(channels: int) -> Layout:
    """Return the layout of a ghost module's output: both halves padded."""
    half = plain(channels // 2, BLOCK)
    return Layout(torch.cat([half.places, half.places + half.total]), 2 * half.total)


class PaddedGhostNet(nn.Module):
    """A deployed GhostNet with padded channels inside.

    Args:
        net: The network; it is changed.
    """

    def __init__(self, net: GhostNet) -> None:
        super().__init__()
        layout = halves(net.conv_stem.out_channels)
        pad(net.conv_stem, plain(net.in_channels), layout)
        kept = {}
        for group, (stage, _) in zip(net.blocks, net.levels):
            for block in group:
                if isinstance(block, GhostBottleneck):
                    layout = pad_bottleneck(block, layout)
                else:  # the last convolution
                    layout = pad(block.conv, layout, plain(block.conv.out_channels))
            kept[stage] = layout.places
        self.net = net
        self.kept = [kept[stage] for stage in net.out_indices]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps of the network, without the padding."""
        outs = zip(self.net(x), self.kept)
        return tuple(
            out if len(kept) == out.shape[1] else out[:, kept] for out, kept in outs
        )


def pad_bottleneck(block: GhostBottleneck, inputs: Layout) -> Layout:
    """Pad a bottleneck, and return the layout of its output."""
    middle = pad_ghost(block.ghost1, inputs)
    if isinstance(block.conv_dw, nn.Conv2d):
        pad(block.conv_dw, middle, middle)
    if not isinstance(block.se, nn.Identity):
        inner = plain(block.se.conv_reduce.out_channels)
        pad(block.se.conv_reduce, middle, inner)
        pad(block.se.conv_expand, inner, middle)
    outputs = pad_ghost(block.ghost2, middle)
    for conv in block.shortcut.children():
        if isinstance(conv, nn.Conv2d):
            pad(conv, inputs, inputs if conv.groups > 1 else outputs)
    return outputs


def pad_ghost(ghost: GhostModule, inputs: Layout) -> Layout:
    """Pad a ghost module, and return the layout of its output."""
    primary, cheap = ghost.primary_conv[0], ghost.cheap_operation[0]
    half, outputs = plain(primary.out_channels, BLOCK), halves(2 * primary.out_channels)
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
def pad(conv: nn.Conv2d, inputs: Layout, outputs: Layout) -> Layout:
    """Pad a convolution, and return the layout of its output."""
    shape = conv.weight.shape
    depthwise = conv.groups > 1
    wide = shape[1] if depthwise else inputs.total
    weight = conv.weight.new_zeros(outputs.total, wide, *shape[2:])
    if depthwise:
        weight[outputs.places] = conv.weight
        conv.groups = outputs.total
    else:
        weight[outputs.places[:, None], inputs.places] = conv.weight
    bias = conv.bias.new_zeros(outputs.total)
    bias[outputs.places] = conv.bias
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
    conv.in_channels, conv.out_channels = inputs.total, outputs.total
    return outputs
