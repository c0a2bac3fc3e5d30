"""Optimizer, parameter groups, mixed precision and EMA of the ImageNet recipe."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn as nn
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import AmpOptimWrapper, DefaultOptimWrapperConstructor, OptimWrapper

from .. import registry
from ..registry import register

WITHOUT_AMP = 'cpu', 'mps'  # devices that mmengine's AmpOptimWrapper refuses


@register(registry.OPTIMIZERS)
def RMSpropTF(params: Iterable, **kwargs: Any) -> torch.optim.Optimizer:
    """Build timm's RMSprop with the arithmetic of TensorFlow (``--opt rmsproptf``).

    ``torch.optim.RMSprop`` starts its squared average at 0 instead of 1, adds ``eps``
    to the root instead of under it, and leaves lr out of the momentum.

    Args:
        params: Parameters or parameter groups.
        **kwargs: Arguments of ``timm.optim.RMSpropTF``.
    """
    import timm.optim

    return timm.optim.RMSpropTF(params, **kwargs)


@register(registry.OPTIM_WRAPPERS)
def AutoAmpOptimWrapper(
    loss_scale: Any = 'dynamic',
    dtype: str | None = None,
    use_fsdp: bool = False,
    **kwargs: Any,
) -> OptimWrapper:
    """Build an AmpOptimWrapper on a GPU and a plain OptimWrapper on the CPU.

    With it a config for GPUs can be tried on a CPU. Its arguments are AmpOptimWrapper's.
    """
    if get_device() in WITHOUT_AMP:
        print_log('No GPU: training in 32 bit instead of mixed precision', 'current')
        return OptimWrapper(**kwargs)
    return AmpOptimWrapper(loss_scale, dtype, use_fsdp, **kwargs)


@register(registry.OPTIM_WRAPPER_CONSTRUCTORS)
class MergedGroupsConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with one group for all parameters of equal settings.

    With ``paramwise_cfg``, mmengine makes one group per parameter, and the optimizer
    updates them one by one, in hundreds of small GPU kernels.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs: Any
    ) -> None:
        """Add the parameters of a module and its children, merged at the root."""
        super().add_params(params, module, prefix, **kwargs)
        if prefix:
            return
        merged: dict[tuple, dict] = {}
        for group in params:
            weights = group.pop('params')
            key = tuple(sorted(group.items()))
            merged.setdefault(key, dict(group, params=[]))['params'] += weights
        params[:] = merged.values()


@register(registry.MODELS)
class TimmEMA(ExponentialMovingAverage):
    """Average of parameters and buffers with the updates of timm's ``ModelEma``.

    It starts from the initial weights, mmengine's from the weights after the first
    step. ``num_batches_tracked`` is not averaged.

    Args:
        model: The model to average.
        momentum: Share of the new weights, 1 - ``decay`` of timm.
        **kwargs: ``interval`` (the number of accumulated gradients, if any) and
            ``device`` of mmengine's averages.

    Example:
        >>> ema = dict(type='EMAHook', ema_type='mmghost.TimmEMA', momentum=1e-4)
    """

    def __init__(self, model: nn.Module, momentum: float = 1e-4, **kwargs: Any) -> None:
        super().__init__(model, momentum, update_buffers=True, **kwargs)
        # mmengine copies the weights at step 0. Counted from 1, the update falls on the
        # last iteration of an interval, which is the one that steps the optimizer.
        self.steps.fill_(1)

        def start(*_: Any) -> None:
            if self.steps == 1:  # not resumed
                self.module.load_state_dict(model.state_dict())
            handle.remove()

        # mmengine builds the average before it initializes or loads the weights.
        handle = model.register_forward_pre_hook(start)
