"""Layers run one by one without gradients, with as little around them as possible.

On a small picture the operators of a light network are so short that what surrounds them
sets its speed: Python's way from module to operator, and PyTorch's way from a convolution
to oneDNN, which alone takes longer than many a 1x1 convolution as a matrix product.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules import module as _module

from .fused import is_channels_last, runs_eagerly

_Layer = TypeVar('_Layer', bound=nn.Module)

# A channels-last map of more pixels is convolved by oneDNN at least as fast as it is
# multiplied by the BLAS (measured on AVX2, see docs/benchmark.md).
MOST_ROWS = 4096


def steps(x: Tensor) -> bool:
    """Tell whether :func:`run` may be used on ``x``: eagerly, and without gradients."""
    return not torch.is_grad_enabled() and runs_eagerly(x)


def is_watched(layer: nn.Module) -> bool:
    """Tell whether somebody has to be told of a module's forward or backward."""
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        or _module._global_forward_hooks
        or _module._global_forward_pre_hooks
        or _module._global_backward_hooks
        or _module._global_backward_pre_hooks
    )


def run(x: Tensor, *layers: nn.Module | None) -> Tensor:
    """Run layers one after another; the numbers are those of calling them.

    Convolutions, batch norms and ReLUs go straight to their operators, 1x1 convolutions
    to a matrix product where that is faster. What is watched (a hook), derived from
    those or otherwise unknown is called as ever.

    Args:
        x: A map for which :func:`steps` holds.
        layers: What to run; None is left out.

    Returns:
        The last layer's output.
    """
    for layer in layers:
        if layer is None:
            continue
        operator = _OPERATORS.get(type(layer))
        if operator is None or is_watched(layer):
            x = layer(x)
        else:
            x = operator(layer, x)
    return x


def steppable(kind: type[_Layer]) -> type[_Layer]:
    """Let :func:`run` call ``_stepped`` of this class, its forward made of such steps."""
    _OPERATORS[kind] = kind._stepped
    return kind


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
    """Compute a 1x1 convolution as a matrix product.

    Args:
        x: (N, C, H, W).
        weight: (O, C, 1, 1).
        bias: (O,), or None.

    Returns:
        (N, O, H, W) in the order of ``x``, or None where oneDNN is as fast: many pixels,
        or several pictures in any order but channels-last.
    """
    n, channels, height, width = x.shape
    rows = n * height * width
    if x.dtype != weight.dtype or rows == 0:
        return None
    matrix = weight.flatten(1)
    if n == 1 and x.is_contiguous():
        flat = x.view(channels, rows)
        if bias is None:
            out = torch.mm(matrix, flat)
        else:
            out = torch.addmm(bias[:, None], matrix, flat)
        return out.view(1, -1, height, width)
    if rows <= MOST_ROWS and is_channels_last(x):
        return F.linear(x.permute(0, 2, 3, 1), matrix, bias).permute(0, 3, 1, 2)
    return None


def is_pointwise(conv: nn.Conv2d) -> bool:
    """Tell whether a convolution multiplies each pixel with one matrix."""
    return (
        conv.kernel_size == (1, 1)
        and conv.stride == (1, 1)
        and conv.groups == 1
        and conv.padding == (0, 0)
    )


def _sequence(layers: nn.Sequential, x: Tensor) -> Tensor:
    return run(x, *layers._modules.values())


def _convolution(conv: nn.Conv2d, x: Tensor) -> Tensor:
    weight, bias = conv._parameters['weight'], conv._parameters['bias']
    if is_pointwise(conv):
        out = pointwise(x, weight, bias)
        if out is not None:
            return out
    return conv._conv_forward(x, weight, bias)


def _batch_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    mean, variance = norm._buffers['running_mean'], norm._buffers['running_var']
    if norm.training or mean is None:
        return norm.forward(x)
    weight, bias = norm._parameters['weight'], norm._parameters['bias']
    return torch.batch_norm(
        x, weight, bias, mean, variance, False, 0.0, norm.eps, False
    )


def _relu(act: nn.ReLU, x: Tensor) -> Tensor:
    return torch.relu_(x) if act.inplace else torch.relu(x)


def _identity(_: nn.Identity, x: Tensor) -> Tensor:
    return x


_OPERATORS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Sequential: _sequence,
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: _relu,
    nn.Identity: _identity,
    nn.Sigmoid: nn.Sigmoid.forward,
}
