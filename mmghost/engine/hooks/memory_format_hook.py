"""A hook that trains and tests in the channels-last memory format."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS, register


@register(HOOKS)
class ChannelsLastHook(Hook):
    """Keep convolution weights, and so all feature maps, in channels-last order.

    The numbers are the same up to rounding. Depthwise convolutions are faster this way on
    CPUs, and on GPUs in mixed precision. A convolution passes the order of its weights on
    to its output, so nothing else has to be converted.

    Example:
        >>> custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
    """

    # Early: other hooks (EMA for one) copy the weights.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Convert the weights of the model."""
        runner.model.to(memory_format=torch.channels_last)
