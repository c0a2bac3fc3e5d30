"""Convolution, bias and activation as one operator: what a deployed network is made of."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from .fused import is_channels_last, runs_eagerly
from .stepping import is_pointwise, pointwise, steppable


class _Activation(NamedTuple):
    """An activation: oneDNN's name and numbers, and PyTorch's operator in place."""

    name: str
    scalars: tuple[float, ...]
    apply: Callable[[Tensor], Tensor]


class _Packed(NamedTuple):
    """Weights in oneDNN's order, and what they were made from.

    Attributes:
        key: Where the weights lie, and the size of the map.
        memory: Their memory itself, which whoever writes to the weights writes to.
        content: What stood there.
        weight: The weights in oneDNN's order.
    """

    key: tuple[Any, ...]
    memory: np.ndarray
    content: bytearray
    weight: Tensor


def _keep(x: Tensor) -> Tensor:
    return x


# For modules that are exactly these.
_ACTIVATIONS: dict[type, _Activation] = {
    nn.Identity: _Activation('none', (), _keep),
    nn.ReLU: _Activation('relu', (), torch.relu_),
    nn.ReLU6: _Activation('hardtanh', (0.0, 6.0), torch._C._nn.relu6_),
    nn.Sigmoid: _Activation('sigmoid', (), torch.sigmoid_),
    nn.Hardsigmoid: _Activation('hardsigmoid', (), torch._C._nn.hardsigmoid_),
    nn.Hardswish: _Activation('hardswish', (), torch._C._nn.hardswish_),
    nn.SiLU: _Activation('swish', (), torch._C._nn.silu_),
}

_HAS_ONEDNN = torch.backends.mkldnn.is_available()
if _HAS_ONEDNN:
    _convolution_pointwise = torch.ops.mkldnn._convolution_pointwise.default


def can_fuse(act: nn.Module) -> bool:
    """Tell whether :class:`FusedConv2d` takes an activation."""
    return type(act) in _ACTIVATIONS


@steppable
class FusedConv2d(nn.Conv2d):
    """A convolution with bias, and the activation that follows it.

    On the CPU, in float32 and channels-last order, where no gradient is asked for and
    nothing records the operators, it is one operator of oneDNN with weights in oneDNN's
    own order, or a matrix product where that is faster; everywhere else it is two plain
    operators. The weights are inference's: a network that is to be trained further is
    not deployed.

    Args:
        conv: The convolution; its weights are copied. A missing bias is zeros.
        act: One of those that :func:`can_fuse` takes.
    """

    def __init__(self, conv: nn.Conv2d, act: nn.Module | None = None) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
            conv.dilation,
            conv.groups,
            bias=True,
            device='meta',
        )
        bias = conv.bias
        if bias is None:
            bias = conv.weight.new_zeros(conv.out_channels)
        self.weight = nn.Parameter(conv.weight.detach().clone(), requires_grad=False)
        self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        self.act = act if act is not None else nn.Identity()
        self.activation = _ACTIVATIONS[type(self.act)]
        self.pointwise = is_pointwise(self)
        self._packed: _Packed | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H', W')."""
        if torch.jit.is_scripting() or not self._runs_eagerly(x):
            return self.act(self._conv_forward(x, self.weight, self.bias))
        return self._stepped(x)

    @torch.jit.unused
    def _runs_eagerly(self, x: Tensor) -> bool:
        return not (torch.is_grad_enabled() and x.requires_grad) and runs_eagerly(x)

    @torch.jit.unused
    def _stepped(self, x: Tensor) -> Tensor:
        weight, bias = self._parameters['weight'], self._parameters['bias']
        if x.dtype is weight.dtype is torch.float32 and x.numel():
            if self.pointwise:
                out = pointwise(x, weight, bias)
                if out is not None:
                    return self.activation.apply(out)
            if _HAS_ONEDNN and torch.backends.mkldnn.enabled and is_channels_last(x):
                packed = self._pack(x)
                if packed is not None:
                    return self._fused(x, packed)
        return self.activation.apply(self._conv_forward(x, weight, bias))

    @torch.jit.unused
    def _fused(self, x: Tensor, packed: Tensor) -> Tensor:
        return _convolution_pointwise(
            x,
            packed,
            self._parameters['bias'],
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            self.activation.name,
            self.activation.scalars,
            '',
        )

    @torch.jit.unused
    def _pack(self, x: Tensor) -> Tensor | None:
        """The weights in oneDNN's order, made anew when they or the size change.

        The order depends on the size; with one made for another size the convolution is
        several times slower. None where the weights lie in memory with gaps.
        """
        weight = self._parameters['weight']
        key = (weight.data_ptr(), weight.stride(), x.shape)
        packed = self._packed
        # Their content is compared, not PyTorch's count of versions: that does not see
        # what goes through `weight.data`, as the swaps of mmengine's EMAHook do.
        if packed is None or packed.key != key or packed.content != packed.memory.data:
            memory = _memory(weight.detach())
            if memory is None:
                return None
            reordered = torch.ops.mkldnn._reorder_convolution_weight.default(
                weight.detach(),
                self.padding,
                self.stride,
                self.dilation,
                self.groups,
                x.shape,
            )
            packed = _Packed(key, memory, bytearray(memory), reordered)
            self._packed = packed
        return packed.weight

    def __getstate__(self) -> dict[str, Any]:
        """Leave oneDNN's copy of the weights out of copies and files."""
        return {**self.__dict__, '_packed': None}


def _memory(weight: Tensor) -> np.ndarray | None:
    """The memory of weights, of which this is no copy; None if it has gaps."""
    for order in (weight, weight.permute(0, 2, 3, 1)):
        if order.is_contiguous():
            return order.view(-1).numpy()
    return None
