"""How the optimizer is wrapped and its parameters are grouped in the ImageNet recipe."""

from typing import Any

import torch.nn as nn
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import (
    AmpOptimWrapper,
    DefaultOptimWrapperConstructor,
    OptimWrapper,
)

from ..registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, register


@register(OPTIM_WRAPPERS)
class AutoAmpOptimWrapper(AmpOptimWrapper):
    """Mixed precision where there is a GPU, 32 bit where there is none.

    mmengine's AmpOptimWrapper stops a training on the CPU; with this one a config for
    GPUs runs there as it is, to be tried out.

    Args:
        loss_scale: As in AmpOptimWrapper.
        dtype: As in AmpOptimWrapper.
        use_fsdp: As in AmpOptimWrapper.
        **kwargs: Arguments of OptimWrapper.
    """

    def __new__(
        cls,
        loss_scale: Any = 'dynamic',
        dtype: Any = None,
        use_fsdp: bool = False,
        **kwargs: Any,
    ) -> OptimWrapper:
        """Make the wrapper that fits the machine."""
        if get_device() != 'cpu':
            return super().__new__(cls)
        print_log('no GPU: training in 32 bit instead of mixed precision', 'current')
        return OptimWrapper(**kwargs)


@register(OPTIM_WRAPPER_CONSTRUCTORS)
class MergedGroupsConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, with one group for all parameters of equal settings.

    mmengine makes a group of every single parameter as soon as ``paramwise_cfg`` is
    given; an optimizer that works on whole groups at once then gains nothing.
    """

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Add the parameters of a module and all below it, merged at the top."""
        super().add_params(params, module, prefix, is_dcn_module)
        if prefix:
            return
        merged: dict[tuple, dict] = {}
        for group in params:
            settings = {k: v for k, v in group.items() if k != 'params'}
            key = tuple(sorted(settings.items()))
            merged.setdefault(key, dict(params=[], **settings))
            merged[key]['params'] += group['params']
        params[:] = merged.values()
