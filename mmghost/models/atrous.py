"""Exact output strides: a dense map as interleaved maps of the strided network.

Without its stride of 2, a convolution computes four maps that the strided network could
have computed: even or odd rows and columns, the *phases*. Layers with dilation 2 never
mix phases, so the network runs on each as it is, with the phases in the batch. Every
operator is exact, also pooling, up-sampling and the average of SE; the phase of even rows
and columns is the map of the strided network (docs/segmentation.md).
"""

import torch
import torch.nn as nn
from torch import Tensor


class SplitPhases(nn.Module):
    """Move the four phases of a map into the batch."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (4 * N, C, ceil(H / 2), ceil(W / 2))."""
        n, c, h, w = x.shape
        half_h, half_w = (h + 1) // 2, (w + 1) // 2
        if h % 2 or w % 2 or torch.jit.is_tracing():  # a trace serves all sizes
            # An odd side's last is repeated; F.pad's gradient fails compiled (torch 2.14).
            x = torch.cat([x, x[:, :, h // 2 * 2 :]], dim=2)
            x = torch.cat([x, x[..., w // 2 * 2 :]], dim=3)
        # Slices, not a reshape: torch.export can prove their sizes.
        even, odd = x[:, :, ::2], x[:, :, 1::2]
        phases = [even[..., ::2], even[..., 1::2], odd[..., ::2], odd[..., 1::2]]
        return torch.stack(phases, dim=1).reshape(n * 4, c, half_h, half_w)


class MergePhases(nn.Module):
    """Undo :class:`SplitPhases`."""

    def forward(self, x: Tensor, size: tuple[int, int], splits: int = 1) -> Tensor:
        """Map (4 ** splits * N, C, H', W') to the dense map (N, C, H, W).

        Args:
            x: The phases.
            size: Height and width of the dense map.
            splits: Number of times that the map was split.
        """
        for split in reversed(range(splits)):
            height, width = [(side + 2**split - 1) // 2**split for side in size]
            n, c, h, w = x.shape
            x = x.reshape(n // 4, 2, 2, c, h, w).permute(0, 3, 4, 1, 5, 2)
            x = x.reshape(n // 4, c, h * 2, w * 2)[:, :, :height, :width]
        return x
