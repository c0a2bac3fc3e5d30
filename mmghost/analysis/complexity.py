"""Parameters and multiply-accumulates, counted as the papers count them."""

from typing import NamedTuple

import torch
import torch.nn as nn
from torch.utils.flop_counter import FlopCounterMode


class Complexity(NamedTuple):
    """What a model costs.

    Attributes:
        params: Number of parameters.
        macs: Multiply-accumulates of convolutions and linear layers for one picture.
            Normalisations, activations and the like are not counted, as in the GhostNet
            papers; other counters (mmengine's, fvcore's) count some of them.
    """

    params: int
    macs: int


def complexity(
    model: nn.Module, shape: tuple[int, int] = (224, 224), in_channels: int = 3
) -> Complexity:
    """Count parameters and multiply-accumulates of one forward pass.

    Args:
        model: Any module that takes pictures, (N, C, H, W). It is left as it was.
        shape: Height and width of the picture in px.
        in_channels: Channels of the picture.

    Returns:
        The counts.
    """
    modes = {name: module.training for name, module in model.named_modules()}
    parameter = next(model.parameters())
    picture = torch.zeros(
        1, in_channels, *shape, dtype=parameter.dtype, device=parameter.device
    )
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(picture)
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
    # torch counts a multiply-accumulate as two operations.
    return Complexity(
        sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2
    )
