"""The step schedule of the ImageNet recipe, with warmup and noise."""

from typing import Any

import torch
from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.momentum_scheduler import MomentumSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, OptimizerType

from ..registry import PARAM_SCHEDULERS, register


class NoisyStepParamScheduler(_ParamScheduler):
    """timm's ``StepLRScheduler`` (``--sched step``) as an mmengine scheduler.

    Values depend on the epoch and the seed alone, so a resumed training gets the same
    ones. Decays are counted from epoch 0, warmup included, as in the timm 0.3 of the
    authors (``warmup_prefix=False`` today).

    Args:
        optimizer: The optimizer or its wrapper.
        param_name: Name of the scheduled parameter, such as ``'lr'``.
        decay_epochs: Epochs between two decays, not necessarily a whole number.
        decay_rate: Factor of a decay.
        warmup_epochs: Epochs of the linear warmup.
        warmup_value: Value of epoch 0 if there is a warmup.
        noise_range: First and last (exclusive) epoch with noise, as fractions of
            ``end``. None for no noise.
        noise_limit: Largest change by noise, as a fraction of the value.
        noise_std: Standard deviation of the noise before it is limited.
        noise_seed: Seed of the noise.
        end: Number of epochs. The runner sets it to ``max_epochs``.
        **kwargs: ``last_step`` and ``verbose`` of mmengine's schedulers.

    Raises:
        ValueError: If ``noise_range`` is not two fractions of a known ``end``.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        decay_epochs: float,
        decay_rate: float,
        warmup_epochs: int = 0,
        warmup_value: float = 0.0,
        noise_range: tuple[float, float] | None = None,
        noise_limit: float = 0.67,
        noise_std: float = 1.0,
        noise_seed: int = 42,
        end: int = INF,
        **kwargs: Any,
    ) -> None:
        if noise_range is not None:
            first, last = noise_range
            if not 0 <= first <= last <= 1 or end == INF:
                raise ValueError(
                    f'noise_range={noise_range} with end={end}: expected fractions of '
                    'the epochs, 0 <= first <= last <= 1, and their number in end'
                )
            noise_range = (first * end, last * end)
        # Plain numbers, because mmengine saves every attribute in the checkpoint.
        self.settings = dict(
            decay_t=decay_epochs,
            decay_rate=decay_rate,
            warmup_t=warmup_epochs,
            warmup_lr_init=warmup_value,
            warmup_prefix=False,
            noise_range_t=noise_range,
            noise_pct=noise_limit,
            noise_std=noise_std,
            noise_seed=noise_seed,
        )
        super().__init__(optimizer, param_name, end=end, **kwargs)

    def _get_value(self) -> list[float]:
        from timm.scheduler import StepLRScheduler

        # timm writes the lr of an optimizer. A scratch one serves any parameter and
        # leaves the real one to mmengine.
        scratch = torch.optim.SGD(
            [dict(params=[torch.zeros(1)], lr=value) for value in self.base_values]
        )
        StepLRScheduler(scratch, **self.settings).step(self.last_step)
        return [group['lr'] for group in scratch.param_groups]


@register(PARAM_SCHEDULERS)
class NoisyStepLR(LRSchedulerMixin, NoisyStepParamScheduler):
    """:class:`NoisyStepParamScheduler` for the learning rate."""


@register(PARAM_SCHEDULERS)
class NoisyStepMomentum(MomentumSchedulerMixin, NoisyStepParamScheduler):
    """:class:`NoisyStepParamScheduler` for the momentum."""
