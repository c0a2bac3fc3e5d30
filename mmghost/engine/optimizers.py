"""RMSprop as TensorFlow has it, the optimizer of the authors' ImageNet recipe."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..registry import OPTIMIZERS, register


@register(OPTIMIZERS)
class RMSpropTF(Optimizer):
    r"""RMSprop with TensorFlow's arithmetic, equal to timm's ``rmsproptf``.

    With gradient :math:`g`, which takes up ``weight_decay`` times the parameter:

    .. math::
        v \leftarrow v + (1 - \alpha)(g^2 - v), \quad
        b \leftarrow \mu b + \mathrm{lr} \, g / \sqrt{v + \epsilon}, \quad
        w \leftarrow w - b

    ``torch.optim.RMSprop`` differs in three things that matter at the large ``eps`` of
    this recipe: :math:`v` starts at 1 and not 0, ``eps`` is added under the root, and
    lr goes into the momentum, so that steps already begun keep the lr of their time.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        alpha: Decay of the average of squared gradients.
        eps: Added to that average, under the root.
        weight_decay: L2 penalty.
        momentum: Of the steps; 0 for none.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        alpha: float = 0.9,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        given = dict(lr=lr, eps=eps, weight_decay=weight_decay, momentum=momentum)
        for name, value in given.items():
            if value < 0:
                raise ValueError(f'{name}={value}: it must not be negative')
        if not 0 <= alpha < 1:
            raise ValueError(f'alpha={alpha}: it must be at least 0 and below 1')
        super().__init__(params, dict(alpha=alpha, **given))

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Take one step.

        Args:
            closure: Computes the loss again, with gradients.

        Returns:
            What ``closure`` returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict) -> None:
        # All tensors of a group at once: a GhostNet has hundreds of small ones, and on
        # a GPU a loop over them would take as long as its backward pass.
        grads = [p.grad for p in params]
        if group['weight_decay']:
            grads = torch._foreach_add(grads, params, alpha=group['weight_decay'])
        averages = [self._state(p, 'square_avg', torch.ones_like) for p in params]
        change = torch._foreach_mul(grads, grads)
        torch._foreach_sub_(change, averages)
        torch._foreach_add_(averages, change, alpha=1 - group['alpha'])
        roots = torch._foreach_add(averages, group['eps'])
        torch._foreach_sqrt_(roots)
        if not group['momentum']:
            torch._foreach_addcdiv_(params, grads, roots, -group['lr'])
            return
        steps = [self._state(p, 'momentum_buffer', torch.zeros_like) for p in params]
        torch._foreach_mul_(steps, group['momentum'])
        torch._foreach_addcdiv_(steps, grads, roots, group['lr'])
        torch._foreach_sub_(params, steps)

    def _state(self, param: Tensor, name: str, new: Callable) -> Tensor:
        state = self.state[param]
        if name not in state:
            state[name] = new(param, memory_format=torch.preserve_format)
        return state[name]
