"""The stepped schedule of the authors' ImageNet recipe: warm-up, decay and noise."""

from collections.abc import Sequence

import torch
from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.momentum_scheduler import MomentumSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, OptimizerType

from ..registry import PARAM_SCHEDULERS, register


@register(PARAM_SCHEDULERS)
class NoisyStepParamScheduler(_ParamScheduler):
    """Warm up, then multiply by a factor every so many epochs, with noise on some.

    The value of epoch t, which holds for the whole of it, is that of timm's
    ``StepLRScheduler`` (``--sched step``, without its later ``warmup_prefix``):

    - before ``warmup_epochs`` it rises linearly from ``warmup_value``;
    - from then on it is the base value times ``decay_rate ** (t // decay_epochs)``. The
      division is by a fraction such as 2.4, and counts from epoch 0, warm-up included;
    - in ``noise_range`` it is changed by a normal random part of itself, drawn anew for
      every epoch until it is within ``noise_limit``. It depends on the epoch and the
      seed alone, so a resumed training gets the same.

    The value is computed from the epoch, not from the value before: mmengine's own
    schedulers, which multiply step by step, would carry noise on.

    Args:
        optimizer: The optimizer, or its wrapper.
        param_name: What is scheduled, such as ``'lr'``.
        decay_epochs: Epochs from one decay to the next, not necessarily whole.
        decay_rate: Factor of a decay.
        warmup_epochs: Epochs of the warm-up.
        warmup_value: Value of epoch 0 if there is a warm-up.
        noise_range: First and last (exclusive) epoch with noise, as parts of ``end``;
            None for no noise.
        noise_limit: Largest change by noise, as a part of the value.
        noise_std: Standard deviation of the noise before it is limited.
        noise_seed: Seed of the noise.
        end: Number of epochs; the runner sets it to that of the training.
        last_step: The last epoch done, -1 for none.
        verbose: Whether to print every value.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        decay_epochs: float,
        decay_rate: float,
        warmup_epochs: int = 0,
        warmup_value: float = 0.0,
        noise_range: Sequence[float] | None = None,
        noise_limit: float = 0.67,
        noise_std: float = 1.0,
        noise_seed: int = 42,
        end: int = INF,
        last_step: int = -1,
        verbose: bool = False,
    ) -> None:
        if decay_epochs <= 0:
            raise ValueError(f'decay_epochs={decay_epochs}: it must be above 0')
        if noise_range is not None:
            first, last = noise_range
            if not 0 <= first <= last <= 1:
                raise ValueError(
                    f'noise_range={noise_range}: two parts of the epochs are needed, '
                    'between 0 and 1 and in order'
                )
            if end == INF:
                raise ValueError('noise_range needs end, the number of epochs')
            if noise_limit <= 0:
                raise ValueError(f'noise_limit={noise_limit}: it must be above 0')
            noise_range = (first * end, last * end)
        self.decay_epochs = decay_epochs
        self.decay_rate = decay_rate
        self.warmup_epochs = warmup_epochs
        self.warmup_value = warmup_value
        self.noise_epochs = noise_range
        self.noise_limit = noise_limit
        self.noise_std = noise_std
        self.noise_seed = noise_seed
        super().__init__(
            optimizer, param_name, end=end, last_step=last_step, verbose=verbose
        )

    def _get_value(self) -> list[float]:
        epoch = self.last_step
        if epoch < self.warmup_epochs:
            slopes = [
                (base - self.warmup_value) / self.warmup_epochs
                for base in self.base_values
            ]
            values = [self.warmup_value + epoch * slope for slope in slopes]
        else:
            factor = self.decay_rate ** (epoch // self.decay_epochs)
            values = [base * factor for base in self.base_values]
        if self.noise_epochs and self.noise_epochs[0] <= epoch < self.noise_epochs[1]:
            noise = self._noise(epoch)
            values = [value + value * noise for value in values]
        return values

    def _noise(self, epoch: int) -> float:
        generator = torch.Generator().manual_seed(self.noise_seed + epoch)
        while True:
            noise = torch.randn(1, generator=generator).item() * self.noise_std
            if abs(noise) < self.noise_limit:
                return noise


@register(PARAM_SCHEDULERS)
class NoisyStepLR(LRSchedulerMixin, NoisyStepParamScheduler):
    """:class:`NoisyStepParamScheduler` for the learning rate."""


@register(PARAM_SCHEDULERS)
class NoisyStepMomentum(MomentumSchedulerMixin, NoisyStepParamScheduler):
    """:class:`NoisyStepParamScheduler` for the momentum."""
