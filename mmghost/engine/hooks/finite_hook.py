"""A hook that notices an infinite loss or gradient before it does harm."""

import math
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from ...errors import UserError
from ...registry import HOOKS, register

ACTIONS = ('stop', 'skip')


@register(HOOKS)
class FiniteHook(Hook):
    """Stop, or skip the step, where a loss or gradient is infinite or NaN.

    The step of the optimizer is prevented and the running statistics are put back, so
    the model stays as it was before the iteration. In mixed precision an overflow of the
    gradients is left to the loss scaler; a loss that is NaN is not. Each iteration costs
    the norms of the gradients (on a GPU: one synchronization) and a copy of the running
    statistics.

    Args:
        action: ``'stop'`` saves the state as ``nonfinite_iter_N.pth`` and ends the
            training; ``'skip'`` goes on with the next batch.
        max_skips: With ``'skip'``: stop after this many in a row.

    Raises:
        ValueError: If the action is unknown.

    Example:
        >>> default_hooks = dict(finite=dict(type='mmghost.FiniteHook', action='skip'))
    """

    # Before EMAHook, which is NORMAL or, in RTMDet's config, 49: it must find the running
    # statistics put back.
    priority = 'ABOVE_NORMAL'

    def __init__(self, action: str = 'stop', max_skips: int = 10) -> None:
        if action not in ACTIONS:
            raise ValueError(f'action must be one of {ACTIONS}, got {action!r}')
        self.action = action
        self.max_skips = max_skips
        self.skips = 0
        self._prevented = False
        self._statistics: list[torch.Tensor] = []
        self._kept: list[torch.Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Watch the optimizers."""
        wrapper = runner.optim_wrapper
        several = isinstance(wrapper, OptimWrapperDict)
        for one in wrapper.values() if several else [wrapper]:
            one.optimizer.register_step_pre_hook(self._before_step)
            # `compile` of a config compiles all of train_step; torch 2.14 fails at Adam.
            one.update_params = torch.compiler.disable(one.update_params)
        self._statistics = [
            buffer
            for module in runner.model.modules()
            if isinstance(module, _NormBase)
            for buffer in module.buffers(recurse=False)
        ]

    def before_train_iter(self, runner: Runner, **_: Any) -> None:
        """Remember the running statistics."""
        self._prevented = False
        self._kept = [buffer.clone() for buffer in self._statistics]

    def _before_step(self, optimizer: Optimizer, *_: Any) -> None:
        if getattr(optimizer, 'found_inf', False):
            return  # fused: the loss scaler has the optimizer skip the step
        parameters = [p for group in optimizer.param_groups for p in group['params']]
        # The gradients of a NaN or infinite loss are NaN or infinite, too.
        if not clip_grad_norm_(parameters, math.inf).isfinite():
            self._prevented = True
            # Optimizers skip parameters without a gradient, momentum and decay too.
            for parameter in parameters:
                parameter.grad = None

    def after_train_iter(
        self, runner: Runner, data_batch: Any = None, outputs: Any = None, **_: Any
    ) -> None:
        """Put the statistics back, then stop or go on, where the iteration went wrong.

        Raises:
            UserError: With ``action='stop'``, or after too many skips in a row.
        """
        wrong = [
            f'{name} is {float(value.detach())}'
            for name, value in (outputs or {}).items()
            if torch.is_tensor(value) and value.numel() == 1 and not value.isfinite()
        ]
        if not wrong and not self._prevented:
            self.skips = 0
            return
        for kept, buffer in zip(self._kept, self._statistics):
            buffer.copy_(kept)
        images = ', '.join(image_names(data_batch)) or 'unknown'
        text = f'iteration {runner.iter + 1}: {", ".join(wrong) or "infinite gradient"}'
        self.skips += 1
        if self.action == 'skip' and self.skips < self.max_skips:
            runner.logger.warning(f'{text}; step skipped. Images: {images}')
            return
        file = f'nonfinite_iter_{runner.iter + 1}.pth'
        meta = dict(iter=runner.iter)
        runner.save_checkpoint(runner.work_dir, file, by_epoch=False, meta=meta)
        raise UserError(
            f'{text}. Images: {images}. The state before this iteration is in '
            f'{runner.work_dir}/{file}; --resume goes on from the last regular '
            'checkpoint. Look at these images and their labels, lower lr or set '
            'optim_wrapper.clip_grad; default_hooks.finite.action=skip skips such steps'
        )


def image_names(data_batch: Any) -> list[str]:
    """Return the paths of the images in a batch of any of the toolboxes."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    paths = [getattr(sample, 'img_path', None) for sample in samples or ()]
    return [str(path) for path in paths if path]
