"""What any backbone of mmengine needs: indices, freezing, norm_eval, checkpointing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch.nn as nn
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm, _InstanceNorm
from torch import Tensor
from torch.utils.checkpoint import checkpoint


class Backbone(BaseModule):
    """A network in stages that returns the maps of some and can freeze the first.

    A subclass sets ``stage_channels`` and ``stage_strides`` for each stage that it
    builds, has ``frozen_modules()`` yield what ``frozen_stages`` freezes, and calls
    :meth:`freeze` when it is built.

    Args:
        out_indices: As given by the user: an int or ints, negative ones from the end.
        frozen_stages: As given by the user, -1 to ``num_stages``.
        num_stages: Number of stages that there are.
        norm_eval: Whether normalizations stay in evaluation mode while training.
        init_cfg: Initialization; a file of ``type='Pretrained'`` is loaded by
            :mod:`mmghost.weights`, whole or not at all.

    Raises:
        ValueError: If there is no such stage, or the indices do not increase.
    """

    stage_channels: Sequence[int]
    stage_strides: Sequence[int]

    def __init__(
        self,
        out_indices: int | Sequence[int],
        frozen_stages: int,
        num_stages: int,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        indices = (out_indices,) if isinstance(out_indices, int) else tuple(out_indices)
        stages = [i % num_stages for i in indices if -num_stages <= i < num_stages]
        if not indices or len(stages) < len(indices) or sorted(set(stages)) != stages:
            raise ValueError(
                f'out_indices={out_indices!r} must be increasing stages from 0 to '
                f'{num_stages - 1}; negative ones count from the end'
            )
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(
                f'frozen_stages={frozen_stages!r} must be -1 (nothing) to {num_stages}'
            )
        self.out_indices = tuple(stages)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of each output, for the ``in_channels`` of a neck."""
        return tuple(self.stage_channels[i] for i in self.out_indices)

    @property
    def out_strides(self) -> tuple[int, ...]:
        """Stride of each output in px of the image, for anchors and heads."""
        return tuple(self.stage_strides[i] for i in self.out_indices)

    def freeze(self) -> None:
        """Freeze parameters and running statistics of ``frozen_modules()``.

        Subclasses call it in ``__init__``: DistributedDataParallel wraps a model before
        ``train()`` is called, and fails on parameters that never get a gradient.
        """
        for module in self.frozen_modules():
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'Backbone':
        """Switch to training mode, except what is frozen or kept by ``norm_eval``."""
        super().train(mode)
        self.freeze()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, (_BatchNorm, _InstanceNorm)):
                    module.eval()
        return self

    def init_weights(self) -> None:
        """Initialize as ``init_cfg`` says.

        Raises:
            WeightsError: If a file of ``type='Pretrained'`` cannot be read or does not
                fit; nothing is loaded then.
        """
        given = self.init_cfg
        cfgs = [given] if isinstance(given, dict) else given or []
        # By name: mmghost.weights, which knows the networks, registers the initializer.
        files = [dict(c, type='mmghost.PretrainedGhostNet') for c in cfgs if is_file(c)]
        self.init_cfg = [c for c in cfgs if not is_file(c)] + files
        try:
            super().init_weights()
        finally:
            self.init_cfg = given


def is_file(init_cfg: dict[str, Any]) -> bool:
    """Return True if an ``init_cfg`` loads a file."""
    kind = init_cfg.get('type', '')
    name = kind if isinstance(kind, str) else kind.__name__
    return name.rpartition('.')[2] in ('Pretrained', 'PretrainedInit')


def checkpointed(
    module: nn.Module, forward: Callable[..., Tensor], x: Tensor
) -> Tensor:
    """Compute ``forward(x)`` and keep ``x`` only, for a second computation in backward.

    The running statistics of ``module`` do not move the second time.
    """
    return checkpoint(
        forward,
        x,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _statistics_kept(module)),
    )


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    norms = [
        m
        for m in module.modules()
        if isinstance(m, (_BatchNorm, _InstanceNorm))
        and m.training
        and m.track_running_stats
    ]
    # Momentum 0, not track_running_stats=False: that saves another number of tensors for
    # backward, which the checkpoint refuses.
    kept = [(m, m.momentum, m.num_batches_tracked.clone()) for m in norms]
    for m in norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        # The second computation ends early, once backward has all that it needs.
        for m, momentum, count in kept:
            m.momentum = momentum
            m.num_batches_tracked.copy_(count)
