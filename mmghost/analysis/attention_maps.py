"""DFC attention of an image: its gates, and what a position draws on.

How figure 6 of the GhostNetV2 paper was computed is not published; what is computed here
is this project's own.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from ..checks.toolbox import takes_rgb
from ..errors import UserError
from ..models import DFCAttention


class AttentionMaps(NamedTuple):
    """Attention of the blocks that work at one stride.

    Attributes:
        stride: Stride of the gated map in px of the image.
        blocks: Number of DFC modules.
        gate: Mean gate over channels and blocks, (h, w), of the down-sampled map that the
            attention works on.
        query: Row and column of the query in that map; None without a query.
        drawn: Share of each position in the attention of the query, (h, w), with a sum of
            1; None without a query.
    """

    stride: int
    blocks: int
    gate: np.ndarray
    query: tuple[int, int] | None = None
    drawn: np.ndarray | None = None


def attention_maps(
    backbone: nn.Module, x: Tensor, query: tuple[float, float] | None = None
) -> list[AttentionMaps]:
    """Compute the gates, and the attention of a query position, stride by stride.

    The gate is what DFC multiplies the features of a position with, before up-sampling.

    What the query draws on is the share of each position in its attention: the weight of
    the vertical kernel times that of the horizontal one times the value there (behind the
    1x1 convolution, with the scales of the normalizations), as an absolute value averaged
    over channels and blocks. The weights come from automatic differentiation through both
    kernels, so they are exact.

    Args:
        backbone: A network with DFC attention, in evaluation mode, at output stride 32.
        x: One normalized image, (1, C, H, W).
        query: Row and column as fractions of height and width, in [0, 1).

    Returns:
        One item for each stride, in increasing order.

    Raises:
        UserError: If the network has no DFC attention or is dilated.
    """
    inputs: dict[DFCAttention, Tensor] = {}

    def note(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs[module] = arguments[0].detach()

    modules = [m for m in backbone.modules() if isinstance(m, DFCAttention)]
    hooks = [module.register_forward_pre_hook(note) for module in modules]
    try:
        with torch.no_grad():
            backbone(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not inputs:
        raise UserError(
            'the model has no DFC attention: it is that of GhostNetV2 and V3'
        )
    by_stride: dict[int, list[tuple[DFCAttention, Tensor]]] = {}
    for dfc, features in inputs.items():
        if len(features) != len(x):
            raise UserError(
                'the attention of a dilated network is spread over phases: build it with '
                'output_stride=32, whose attention is the same (docs/segmentation.md)'
            )
        # A power of two; sides that it does not divide are rounded up to whole pixels.
        ratio = max(x.shape[2:]) / max(features.shape[2:])
        by_stride.setdefault(2 ** round(math.log2(ratio)), []).append((dfc, features))
    return [_maps(stride, by_stride[stride], query) for stride in sorted(by_stride)]


def _maps(
    stride: int,
    members: list[tuple[DFCAttention, Tensor]],
    query: tuple[float, float] | None,
) -> AttentionMaps:
    with torch.no_grad():
        gates = [dfc.gate(dfc.logits(x))[0].mean(0) for dfc, x in members]
    gate = torch.stack(gates).mean(0).float().cpu().numpy()
    if query is None:
        return AttentionMaps(stride, len(members), gate)
    row, column = (int(part * side) for part, side in zip(query, gate.shape))
    drawn = torch.stack([drawn_on(dfc, x, row, column) for dfc, x in members]).mean(0)
    drawn = drawn.float().cpu().numpy()
    return AttentionMaps(stride, len(members), gate, (row, column), drawn)


def drawn_on(dfc: DFCAttention, x: Tensor, row: int, column: int) -> Tensor:
    """Compute what one position of a DFC attention draws on.

    Args:
        dfc: The attention.
        x: Its input, (1, C, H, W).
        row: Row of the position in the down-sampled map.
        column: Column of the position in the down-sampled map.

    Returns:
        (h, w) of the down-sampled map, with a sum of 1.
    """
    mixed = []

    def note(_module: nn.Module, _inputs: tuple[Tensor, ...], values: Tensor) -> Tensor:
        mixed.append(values.detach().requires_grad_())
        return mixed[0]

    handle = dfc[1].register_forward_hook(note)  # the norm behind the 1x1 convolution
    try:
        with torch.enable_grad():
            attention = dfc.logits(x)[0, :, row, column].sum()
            (weights,) = torch.autograd.grad(attention, mixed)
    finally:
        handle.remove()
    values = mixed[0]
    drawn = (weights * values.detach())[0].abs().mean(0)
    return drawn / drawn.sum().clamp(min=torch.finfo(drawn.dtype).tiny)


def to_input(image: np.ndarray, model: nn.Module) -> Tensor:
    """Normalize an image as the data preprocessor of a model does.

    Args:
        image: RGB, (H, W, 3).
        model: A model of one of the toolboxes.

    Returns:
        (1, 3, H, W), on the model's device.
    """
    parameter = next(model.parameters())
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    x = x.to(parameter.device, parameter.dtype)
    preprocessor = getattr(model, 'data_preprocessor', None)
    mean = getattr(preprocessor, 'mean', None)
    if mean is None:
        return x
    if not takes_rgb(preprocessor):
        x = x.flip(1)
    return (x - mean.view(-1, 1, 1).to(x)) / preprocessor.std.view(-1, 1, 1).to(x)
