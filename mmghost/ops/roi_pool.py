"""RoIPool with mmcv's bins: ``roi_pool_*`` of ``mmcv._ext``.

torchvision's RoIPool rounds the corners of a RoI first and so pools other px; the bins
here are those of mmcv's CUDA kernel (mmcv compiles none for the CPU).
"""

import torch
from torch import Tensor

from .backend import single, widen

CHUNK = 2**24  # values held at a time: 64 MiB in float32


@torch.no_grad()
def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Take the maximum of every bin of every RoI.

    A RoI of no size leaves its outputs as they come (zeros), as mmcv does.

    Args:
        input: Feature maps, shape (N, C, H, W).
        rois: Index of the map, then corners in px of the picture, shape (K, 5).
        output: Filled in place, shape (K, C, pooled_height, pooled_width).
        argmax: Filled in place with the px of each maximum, counted along the rows of
            the map; -1 where a bin holds no px. Shape of ``output``.
        pooled_height: Bins per RoI, vertically.
        pooled_width: Bins per RoI, horizontally.
        spatial_scale: Map px per picture px.
    """
    feature, boxes = widen(input), rois.to(widen(input).dtype)
    channels, height, width = input.shape[1:]
    scale = single(spatial_scale)
    top_left = boxes[:, [2, 1]] * scale
    size = (boxes[:, [4, 3]] + 1) * scale - top_left
    rows = _Bins(top_left[:, 0], size[:, 0], pooled_height, height)
    columns = _Bins(top_left[:, 1], size[:, 1], pooled_width, width)

    # One px of all channels in one row, so that a bin is gathered px by px.
    pixels = feature.permute(0, 2, 3, 1).reshape(-1, channels)
    for part in _parts((size > 0).all(dim=1).nonzero()[:, 0], rows, columns, channels):
        row, column = rows.pixels(part), columns.pixels(part)  # (R, bins, longest)
        inside = (
            row[:, :, None, :, None] * width + column[:, None, :, None, :]
        ).flatten(3)  # (R, pooled_height, pooled_width, px of the bin)
        picture = boxes[part, 0].long()[:, None, None, None] * (height * width)
        values = pixels.index_select(0, (picture + inside).flatten())
        value, first = values.view(*inside.shape, channels).max(dim=3)
        place = inside.gather(3, first)
        empty = (rows.empty(part)[:, :, None] | columns.empty(part)[:, None])[..., None]
        value = value.where(~empty, value.new_tensor(0)).permute(0, 3, 1, 2)
        place = place.where(~empty, place.new_tensor(-1)).permute(0, 3, 1, 2)
        output.index_copy_(0, part, value.to(output.dtype))
        argmax.index_copy_(0, part, place.to(argmax.dtype))


@torch.no_grad()
def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Add each bin's gradient to the px it was taken from, in place.

    Args:
        grad_output: Shape (K, C, pooled_height, pooled_width).
        rois: As in the forward pass.
        argmax: As the forward pass left it.
        grad_input: Shape (N, C, H, W).
        pooled_height: Not used; the shapes tell.
        pooled_width: Not used; the shapes tell.
        spatial_scale: Not used; ``argmax`` tells.
    """
    channels, height, width = grad_input.shape[1:]
    plane = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    place = plane[:, :, None, None] * (height * width) + argmax.clamp(min=0)
    grad = widen(grad_output)
    grad = grad.where(argmax >= 0, grad.new_tensor(0))
    result = grad.new_zeros(grad_input.shape).flatten()
    result.index_add_(0, place.flatten(), grad.flatten())
    grad_input.add_(result.view_as(grad_input))


class _Bins:
    """First and last px of the bins of every RoI, along one direction."""

    def __init__(self, start: Tensor, size: Tensor, bins: int, length: int) -> None:
        edge = torch.arange(bins + 1, device=start.device)
        edges = edge * (size / bins)[:, None] + start[:, None]
        self.length = length
        self.first = edges[:, :-1].floor().clamp(0, length).long()
        self.end = edges[:, 1:].ceil().clamp(0, length).long()
        self.longest = (self.end - self.first).clamp(min=1).amax(dim=1)

    def empty(self, chosen: Tensor) -> Tensor:
        return self.end[chosen] <= self.first[chosen]

    def pixels(self, chosen: Tensor) -> Tensor:
        """List the px of each bin; a short bin repeats its last one."""
        first, end = self.first[chosen, :, None], self.end[chosen, :, None]
        step = torch.arange(int(self.longest[chosen].max()), device=first.device)
        last = (end - 1).clamp(0, max(self.length - 1, 0))
        return torch.minimum(first + step, last)


def _parts(chosen: Tensor, rows: _Bins, columns: _Bins, channels: int) -> list[Tensor]:
    """Split RoIs into parts of like size that fit into ``CHUNK`` values."""
    if chosen.numel() == 0:
        return []
    bins = rows.first.shape[1] * columns.first.shape[1]
    volume = rows.longest[chosen] * columns.longest[chosen] * bins * channels
    volume, order = volume.sort(descending=True)
    parts, chosen = [], chosen[order]
    while len(chosen):
        count = max(1, CHUNK // max(1, int(volume[0])))
        parts.append(chosen[:count])
        chosen, volume = chosen[count:], volume[count:]
    return parts
