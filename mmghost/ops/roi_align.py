"""RoIAlign, average and maximum: ``roi_align_*`` of ``mmcv._ext``."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .backend import (
    single,
    tolerate_nondeterminism,
    torchvision_ops,
    widen,
)

MAX, AVERAGE = 0, 1  # mmcv's numbers of pooling modes
CHUNK = 2**24  # samples held at a time in maximum mode: 64 MiB in float32


@torch.no_grad()
def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool each RoI into a grid of bins, from bilinear samples in each bin.

    Args:
        input: Feature maps, shape (N, C, H, W).
        rois: Index of the map, then corners in px of the picture, shape (K, 5).
        output: Filled in place, shape (K, C, aligned_height, aligned_width).
        argmax_y: Filled in place in maximum mode: row of each bin's maximum in px of
            the map, -1 where a bin has none; shape of ``output``.
        argmax_x: Its column.
        aligned_height: Bins per RoI, vertically.
        aligned_width: Bins per RoI, horizontally.
        spatial_scale: Map px per picture px.
        sampling_ratio: Samples per bin and direction; 0 or less for about one per px.
        pool_mode: 0 maximum, 1 average.
        aligned: Shift by half a px, so that px centres are at integers.

    Raises:
        RuntimeError: An aligned RoI of negative size, on the CPU, as mmcv does there.
    """
    feature, boxes = widen(input), rois.to(widen(input).dtype)
    scale = single(spatial_scale)
    grid = _Grid.of(
        boxes, (aligned_height, aligned_width), scale, sampling_ratio, aligned
    )
    if aligned and not input.is_cuda and not bool((grid.size >= 0).all()):
        bad = int((~(grid.size >= 0)).any(dim=1).nonzero()[0])
        raise RuntimeError(
            'RoIAlign takes no RoIs of negative size, but RoI '
            f'{bad} is {rois[bad].tolist()} (index, x1, y1, x2, y2).'
        )
    if pool_mode == MAX:
        _pool_maximum(feature, boxes, grid, scale, aligned, output, argmax_y, argmax_x)
    elif pool_mode == AVERAGE:
        output.copy_(
            torchvision_ops().roi_align(
                feature,
                boxes,
                scale,
                aligned_height,
                aligned_width,
                sampling_ratio,
                aligned,
            )
        )


@torch.no_grad()
def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of :func:`roi_align_forward` to ``grad_input``, in place.

    Args:
        grad_output: Shape (K, C, aligned_height, aligned_width).
        rois: As in the forward pass.
        argmax_y: As the forward pass left it.
        argmax_x: As the forward pass left it.
        grad_input: Shape (N, C, H, W).
        aligned_height: As in the forward pass.
        aligned_width: As in the forward pass.
        spatial_scale: As in the forward pass.
        sampling_ratio: As in the forward pass.
        pool_mode: As in the forward pass.
        aligned: As in the forward pass.
    """
    grad = widen(grad_output)
    if pool_mode == MAX:
        grad_input.add_(
            _spread(grad, rois, widen(argmax_y), widen(argmax_x), grad_input.shape)
        )
    elif pool_mode == AVERAGE:
        with tolerate_nondeterminism(grad):
            grad_input.add_(
                torchvision_ops()._roi_align_backward(
                    grad,
                    rois.to(grad.dtype),
                    single(spatial_scale),
                    aligned_height,
                    aligned_width,
                    *grad_input.shape,
                    sampling_ratio,
                    aligned,
                )
            )


class _Grid(NamedTuple):
    """Where the samples of each RoI lie, in px of the map; all (K, 2), y before x."""

    bins: tuple[int, int]
    start: Tensor
    size: Tensor
    samples: Tensor  # per bin

    @classmethod
    def of(
        cls,
        rois: Tensor,
        bins: tuple[int, int],
        scale: float,
        sampling_ratio: int,
        aligned: bool,
    ) -> '_Grid':
        corners = rois[:, 1:] * scale - (0.5 if aligned else 0.0)
        start = corners[:, [1, 0]]
        size = corners[:, [3, 2]] - start
        if not aligned:
            size = size.clamp(min=1)
        if sampling_ratio > 0:
            samples = torch.full_like(size, sampling_ratio).long()
        else:
            samples = (size / size.new_tensor(bins)).ceil().clamp(min=0).long()
        return cls(bins, start, size, samples)

    def positions(self, axis: int, chosen: Tensor, samples: int) -> Tensor:
        """Rows (axis 0) or columns (1) of the chosen RoIs' samples, (R, bins * n)."""
        bin_size = (self.size[chosen, axis] / self.bins[axis])[:, None]
        sample = torch.arange(self.bins[axis] * samples, device=bin_size.device)
        whole, part = sample // samples, sample % samples
        start = self.start[chosen, axis][:, None]
        return start + whole * bin_size + (part + 0.5) * bin_size / samples


def _pool_maximum(
    feature: Tensor,
    rois: Tensor,
    grid: _Grid,
    scale: float,
    aligned: bool,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
) -> None:
    """Take the samples as RoIAlign of one sample a bin, then pool them by maximum."""
    # mmcv starts its search here; a bin whose samples are no greater has no maximum.
    lowest = torch.finfo(torch.float32).min if feature.is_cuda else -10000.0
    output.fill_(lowest)
    argmax_y.fill_(-1)
    argmax_x.fill_(-1)
    per_sample = feature.shape[1] * grid.bins[0] * grid.bins[1]
    for (high, wide), chosen in _equal_rows(grid.samples):
        if high == 0 or wide == 0:
            continue
        for part in chosen.split(max(1, CHUNK // max(1, per_sample * high * wide))):
            sampled = torchvision_ops().roi_align(
                feature,
                rois[part],
                scale,
                grid.bins[0] * high,
                grid.bins[1] * wide,
                1,
                aligned,
            )
            # Of equal samples the first in reading order wins, in mmcv as here.
            value, index = F.max_pool2d(sampled, (high, wide), return_indices=True)
            found = value > lowest
            columns = grid.bins[1] * wide
            for axis, position, argmax in (
                (0, index // columns, argmax_y),
                (1, index % columns, argmax_x),
            ):
                places = grid.positions(axis, part, (high, wide)[axis])
                place = places.gather(1, position.flatten(1)).view_as(value)
                place = place.where(found, place.new_tensor(-1))
                argmax.index_copy_(0, part, place.to(argmax.dtype))
            value = value.where(found, value.new_tensor(lowest))
            output.index_copy_(0, part, value.to(output.dtype))


def _equal_rows(samples: Tensor) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """Yield each different row of a table (K, 2) and the indices that have it."""
    rows, which = samples.unique(dim=0, return_inverse=True)
    for number, (high, wide) in enumerate(rows.tolist()):
        yield (high, wide), (which == number).nonzero()[:, 0]


def _spread(
    grad: Tensor, rois: Tensor, y: Tensor, x: Tensor, shape: torch.Size
) -> Tensor:
    """Give each bin's gradient to the four px around its maximum."""
    _, channels, height, width = shape
    # -1 marks a bin without maximum; farther out there is no px to receive anything.
    inside = (y != -1) & (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    grad = grad.where(inside, grad.new_tensor(0))
    row, down = _corner(y.where(inside, y.new_tensor(0)), height)
    column, right = _corner(x.where(inside, x.new_tensor(0)), width)
    plane = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    origin = plane[:, :, None, None] * (height * width)
    result = grad.new_zeros(shape).flatten()
    for rows, by_row in ((row, 1 - down), ((row + 1).clamp(max=height - 1), down)):
        for columns, by_column in (
            (column, 1 - right),
            ((column + 1).clamp(max=width - 1), right),
        ):
            place = origin + rows * width + columns
            result.index_add_(0, place.flatten(), (grad * by_row * by_column).flatten())
    return result.view(shape)


def _corner(position: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Split positions into the px before and the distance from it, within the map."""
    position = position.clamp(0, length - 1)
    before = position.long()
    return before, position - before
