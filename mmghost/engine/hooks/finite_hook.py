"""A hook that notices a loss or gradient that is no number before it does harm."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from ...errors import UserError
from ...registry import HOOKS, register
from ..checkpoints import save_state

ACTIONS = ('stop', 'skip')


@register(HOOKS)
class FiniteHook(Hook):
    """Stop, or leave a step out, where the loss or a gradient is infinite or not a number.

    The optimizer's step is prevented and the running statistics are put back, so the
    model stays as it was before the iteration. In mixed precision an overflow of the
    gradients is the loss scaler's business and passes; a loss that is no number does not.
    Each iteration costs one look at the gradients' norms (on a GPU: one
    synchronisation) and a copy of the running statistics.

    Args:
        action: ``'stop'`` saves the state as ``nonfinite_iter_N.pth`` and ends the
            training; ``'skip'`` goes on with the next batch.
        max_skips: With ``'skip'``: stop all the same after so many in a row.

    Raises:
        ValueError: If an argument is wrong.

    Example:
        >>> default_hooks = dict(finite=dict(type='mmghost.FiniteHook', action='skip'))
    """

    # Before EMAHook, which is NORMAL or, in RTMDet's config, 49: it must find the running
    # statistics put back.
    priority = 'ABOVE_NORMAL'

    def __init__(self, action: str = 'stop', max_skips: int = 10) -> None:
        if action not in ACTIONS:
            raise ValueError(f'action must be one of {ACTIONS}, got {action!r}')
        if not isinstance(max_skips, int) or max_skips < 1:
            raise ValueError(f'max_skips must be an int from 1 up, got {max_skips!r}')
        self.action = action
        self.max_skips = max_skips
        self.skips = 0
        self._prevented = False
        self._releases: list[Callable[[], None]] = []
        self._statistics: list[torch.Tensor] = []
        self._kept: list[torch.Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Watch the optimizers."""
        self.after_train(runner)
        for wrapper in wrappers_of(runner):
            losses: list[torch.Tensor] = []
            update = partial(_update, wrapper, wrapper.update_params, losses)
            wrapper.update_params = update
            self._releases.append(partial(delattr, wrapper, 'update_params'))
            before_step = partial(self._before_step, losses)
            handle = wrapper.optimizer.register_step_pre_hook(before_step)
            self._releases.append(handle.remove)
        self._statistics = [
            buffer
            for module in runner.model.modules()
            if isinstance(module, _NormBase)
            for buffer in module.buffers(recurse=False)
        ]
        self._kept = [torch.empty_like(buffer) for buffer in self._statistics]

    def after_train(self, runner: Runner) -> None:
        """Leave the optimizers alone again."""
        for release in self._releases:
            release()
        self._releases = []

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Remember the running statistics."""
        self._prevented = False
        for kept, buffer in zip(self._kept, self._statistics):
            kept.copy_(buffer)

    def _before_step(
        self, losses: list[torch.Tensor], optimizer: Optimizer, *_: Any
    ) -> None:
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        if not gradients:
            return
        # A loss can be infinite and its gradients not, where a constant is added to it.
        numbers = [*torch._foreach_norm(gradients), *losses]
        numbers = [number.to(gradients[0].device).float() for number in numbers]
        if torch.stack(numbers).isfinite().all():
            return
        self._prevented = True
        # Optimizers pass over parameters without a gradient, momentum and decay too.
        for group in optimizer.param_groups:
            for parameter in group['params']:
                parameter.grad = None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Put the statistics back and stop, where the iteration went wrong.

        Raises:
            UserError: With ``action='stop'``, or after too many skips in a row.
        """
        wrong = {
            name: float(value.detach())
            for name, value in (outputs or {}).items()
            if torch.is_tensor(value) and value.numel() == 1 and not value.isfinite()
        }
        if not wrong and not self._prevented:
            self.skips = 0
            return
        for kept, buffer in zip(self._kept, self._statistics):
            buffer.copy_(kept)
        what = ', '.join(f'{name} is {value}' for name, value in wrong.items())
        names = ', '.join(picture_names(data_batch)) or 'unknown'
        text = f'iteration {runner.iter + 1}: {what or "a gradient is not finite"}'
        self.skips += 1
        if self.action == 'skip' and self.skips < self.max_skips:
            runner.logger.warning(f'{text}; step left out. Pictures: {names}')
            return
        file = f'nonfinite_iter_{runner.iter + 1}.pth'
        save_state(runner, file, runner.iter)
        raise UserError(
            f'{text}. Pictures: {names}. The state before this iteration is in '
            f'{runner.work_dir}/{file}; --resume goes on from the last regular '
            'checkpoint. Look at these pictures and their labels, lower lr or set '
            'optim_wrapper.clip_grad; default_hooks.finite.action=skip leaves such steps '
            'out'
        )


def wrappers_of(runner: Runner) -> Iterator[OptimWrapper]:
    """Yield a runner's wrapper of an optimizer, or each of several."""
    wrapper = runner.optim_wrapper
    yield from wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def _update(
    wrapper: OptimWrapper,
    update: Callable[..., None],
    losses: list[torch.Tensor],
    loss: torch.Tensor,
    *args: Any,
    **kwargs: Any,
) -> None:
    """Keep the losses of all batches that a step is made of while it is made."""
    losses.append(loss.detach())
    update(loss, *args, **kwargs)
    if getattr(wrapper, 'should_update', lambda: True)():  # DeepSpeed's has none
        losses.clear()


def picture_names(data_batch: Any) -> list[str]:
    """Name the pictures of a batch of any of the toolboxes, as far as they have names."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    if not isinstance(samples, list | tuple):
        return []
    return [str(name) for s in samples if (name := getattr(s, 'img_path', None))]
