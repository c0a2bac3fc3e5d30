"""Exact à trous: a dense map as interleaved copies of the strided network's maps.

Where a stride of 2 is left out, the dense map holds four maps that the strided network
could have computed, one for each choice of even or odd rows and columns: its *phases*.
Convolutions with dilation 2 never mix phases, so a dilated network is the plain network
run on each phase. Doing just that, with the phases in the batch dimension, makes every
operator exact at once, also those that have no dilation: pooling, up-sampling and the
global average of SE. The phase of even rows and columns is the strided network's own
map; see docs/segmentation.md.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def split_phases(x: Tensor) -> Tensor:
    """Move the four phases of a map into the batch.

    Where a side is odd the last row or column is repeated, so that the phases are of
    one size; the phase of even rows and columns never contains the repetition.

    Args:
        x: (N, C, H, W).

    Returns:
        (4 * N, C, ceil(H / 2), ceil(W / 2)); the phases of a picture are neighbours.
    """
    n, c, h, w = x.shape
    half_h, half_w = (h + 1) // 2, (w + 1) // 2
    x = F.pad(x, [0, 2 * half_w - w, 0, 2 * half_h - h], mode='replicate')
    # Slices rather than a reshape: torch.export can prove their sizes.
    even, odd = x[:, :, ::2], x[:, :, 1::2]
    phases = [even[..., ::2], even[..., 1::2], odd[..., ::2], odd[..., 1::2]]
    return torch.stack(phases, dim=1).reshape(n * 4, c, half_h, half_w)


def merge_phases(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo :func:`split_phases`.

    Args:
        x: (4 * N, C, ceil(H / 2), ceil(W / 2)).
        size: H and W.

    Returns:
        (N, C, H, W).
    """
    n, c, h, w = x.shape
    x = x.reshape(n // 4, 2, 2, c, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n // 4, c, h * 2, w * 2)[:, :, : size[0], : size[1]]
