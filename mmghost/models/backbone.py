"""What the backbones of mmghost do alike: outputs, frozen stages, modes, checkpoints."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint


class Backbone(BaseModule):
    """A network in stages that returns the maps of some and can freeze the first.

    A subclass sets ``out_indices``, ``frozen_stages``, ``norm_eval`` and, for each
    stage that it builds, ``_stage_channels`` and ``_stage_strides``; it says in
    :meth:`_frozen` what ``frozen_stages`` freezes, and calls :meth:`_freeze` when all is
    built.
    """

    # TorchScript would compile them, and cannot.
    __jit_unused_properties__ = ('is_init', 'out_channels', 'out_strides')

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of each output, for the neck's ``in_channels``."""
        return tuple(self._stage_channels[i] for i in self.out_indices)

    @property
    def out_strides(self) -> tuple[int, ...]:
        """Stride of each output in px of the picture, for anchors and heads."""
        return tuple(self._stage_strides[i] for i in self.out_indices)

    def _frozen(self) -> Iterator[nn.Module]:
        raise NotImplementedError

    def _freeze(self) -> None:
        for module in self._frozen():
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'Backbone':
        """Switch to training mode, but for what ``frozen_stages`` and ``norm_eval`` keep.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The backbone itself.
        """
        super().train(mode)
        self._freeze()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _NormBase):
                    module.eval()
        return self


def checkpointed(
    module: nn.Module, forward: Callable[..., Tensor], x: Tensor
) -> Tensor:
    """Compute ``forward(x)`` and, instead of what is in between, keep only ``x``.

    Args:
        module: Whose running statistics must not move when backward computes it again.
        forward: A method of it.
        x: Its input.
    """
    return checkpoint(
        forward,
        x,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _statistics_kept(module)),
    )


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Let no running statistic move while a checkpoint computes a second time."""
    norms = [
        m
        for m in module.modules()
        if isinstance(m, _NormBase) and m.training and m.track_running_stats
    ]
    # Switching track_running_stats off would be simpler, but then another number of
    # tensors is saved for backward, which the checkpoint refuses.
    kept = [(m, m.momentum, m.num_batches_tracked.clone()) for m in norms]
    for m in norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        # Not one less each: the second time ends when all that backward needs is there.
        for m, momentum, count in kept:
            m.momentum = momentum
            m.num_batches_tracked.copy_(count)
