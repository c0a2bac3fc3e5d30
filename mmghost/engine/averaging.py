"""The average of weights that the authors' ImageNet recipe evaluates and saves."""

import torch
import torch.nn as nn
from mmengine.model import ExponentialMovingAverage

from ..registry import MODELS, register


@register(MODELS)
class TimmEMA(ExponentialMovingAverage):
    """Moving average of parameters and buffers, equal to timm's ``ModelEma``.

    It starts from the weights before the first step, and takes in those after every
    step; mmengine's own starts from those after the first. Batch norm's statistics are
    averaged like the weights; its counts of batches, which nothing reads, stay as they
    are.

    Args:
        model: The model to average.
        momentum: Part of the new weights, 1 - timm's ``decay``.
        interval: Take in the weights every so many iterations. With gradients that are
            accumulated over as many, that is after every step of the optimizer.
        device: Where the average is kept; None for where the model is.

    Example:
        >>> custom_hooks = [
        ...     dict(type='EMAHook', ema_type='mmghost.TimmEMA', momentum=1e-4)
        ... ]
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 1e-4,
        interval: int = 1,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers=True)
        # mmengine copies the weights at step 0. From 1 on the interval is counted so
        # that its last iteration is the one that steps the optimizer.
        self.steps.fill_(1)

    def update_parameters(self, model: nn.Module) -> None:
        """Take in the weights of ``model``, if it is the turn of this iteration."""
        if self.steps % self.interval == 0:
            sources = model.state_dict()
            averages = {
                name: average
                for name, average in self.avg_parameters.items()
                if average.is_floating_point()
            }
            torch._foreach_lerp_(
                list(averages.values()),
                [sources[name].to(a.device) for name, a in averages.items()],
                self.momentum,
            )
        self.steps += 1
