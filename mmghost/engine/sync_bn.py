"""Batch norm over several processes on CPUs; torch's own SyncBN is for GPUs only."""

import torch
import torch.distributed as dist
import torch.nn as nn
from mmengine.dist import get_world_size
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import Tensor
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm

from ..registry import MODELS, register


class _Sum(Function):
    """Sum of a tensor over the processes; so is its gradient."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


@register(MODELS)
class CPUSyncBN(_BatchNorm):
    """What ``torch.nn.SyncBatchNorm`` computes, for processes that talk by gloo.

    Statistics are those of all processes' pictures together, also where one has fewer.
    In evaluation, and in a single process, it is plain batch norm. Arguments and weights
    are those of ``torch.nn.BatchNorm2d``; maps may have any number of dimensions.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim < 2:
            raise ValueError(f'expected (N, C, ...), got {tuple(x.shape)}')

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``, (N, C, ...) to (N, C, ...).

        Raises:
            ValueError: In training, if there is but one value for each channel.
        """
        if not self.training or get_world_size() == 1:
            return super().forward(x)
        self._check_input_dim(x)
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        own = x.new_tensor([x.numel() // x.shape[1]])
        sums = _Sum.apply(torch.cat([x.sum(axes), own]))
        count = sums[-1].detach()
        if count < 2:
            raise ValueError(
                'expected more than one value per channel over all processes, got a map '
                f'of {tuple(x.shape)}'
            )
        mean = sums[:-1] / count
        # About the mean, and not E[x^2] - E[x]^2, which cancels where the mean is large.
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        self._move(mean.detach(), variance.detach() * count / (count - 1))
        x = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            x = x * self.weight.view(shape) + self.bias.view(shape)
        return x

    def _move(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of this batch."""
        if not self.track_running_stats:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # the plain average of all batches
            share = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def synchronise(model: nn.Module) -> nn.Module:
    """Put :class:`CPUSyncBN` in the place of every batch norm, with the same tensors.

    Args:
        model: The model, changed in place.

    Returns:
        The model, or what stands for it where it is a batch norm itself.
    """
    if isinstance(model, _BatchNorm) and not isinstance(model, CPUSyncBN):
        layer = CPUSyncBN(
            model.num_features,
            model.eps,
            model.momentum,
            model.affine,
            model.track_running_stats,
        )
        layer.train(model.training)
        layer._parameters = model._parameters
        layer._buffers = model._buffers
        return layer
    for name, child in model.named_children():
        setattr(model, name, synchronise(child))
    return model


@MODEL_WRAPPERS.register_module()
class CPUSyncDataParallel(MMDistributedDataParallel):
    """mmengine's wrapper; it turns batch norm into :class:`CPUSyncBN` before.

    It stands for ``sync_bn = 'torch'`` of a config, which needs GPUs.

    Args:
        module: The model.
        **kwargs: Those of mmengine's ``MMDistributedDataParallel``.
    """

    def __init__(self, module: nn.Module, **kwargs) -> None:
        super().__init__(module=synchronise(module), **kwargs)
