"""Parameters and multiply-accumulates, counted as the papers count them."""

from typing import NamedTuple

import torch
import torch.nn as nn
from torch.utils.flop_counter import FlopCounterMode


class Complexity(NamedTuple):
    """Cost of a model.

    Attributes:
        params: Number of parameters.
        macs: Multiply-accumulates of convolutions and linear layers for one image, the
            "FLOPs" of the GhostNet papers. Other counters (mmengine's, fvcore's) add some
            of the normalizations and activations.
    """

    params: int
    macs: int


def complexity(
    model: nn.Module, shape: tuple[int, int] = (224, 224), in_channels: int = 3
) -> Complexity:
    """Count parameters and multiply-accumulates of one forward pass.

    Args:
        model: A module that takes images, (N, C, H, W), in evaluation mode or not; it
            stays as it is. On the meta device nothing is computed.
        shape: Height and width of the image in px.
        in_channels: Channels of the image.

    Example:
        >>> from mmghost.analysis import complexity
        >>> from mmghost.models import GhostNetClassifier
        >>> complexity(GhostNetClassifier())
        Complexity(params=6156908, macs=167048288)
    """
    modes = [(module, module.training) for module in model.modules()]
    image = next(model.parameters()).new_zeros(1, in_channels, *shape)
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(image)
    finally:
        for module, training in modes:
            module.training = training
    # torch counts a multiply-accumulate as two operations.
    params = sum(p.numel() for p in model.parameters())
    return Complexity(params, counter.get_total_flops() // 2)
