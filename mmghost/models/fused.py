"""Operators for running a network step by step, with less traffic through memory.

A compiler fuses what is written plainly; step by step every operator reads and writes
whole maps, and memory sets the pace. What stands here computes the same numbers in fewer
passes. It is used on the CPU where nothing records the operators
(:func:`runs_eagerly`); everywhere else the plain operators are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.fx import Proxy

# torch 2.1 cannot say cheaply whether it is compiling: there all is plain.
_is_compiling = getattr(torch.compiler, 'is_compiling', None)
_modes = getattr(torch._C, '_len_torch_dispatch_stack', None)
_functorch = getattr(torch._C, '_functorch', None)
_transforms = getattr(_functorch, 'peek_interpreter_stack', None)


def runs_eagerly(x: Tensor) -> bool:
    """Tell whether operators on ``x`` run at once, and on the CPU.

    They do not while they are traced (by torch.fx too), compiled or exported, nor while
    a dispatch mode counts them or torch.func (vmap, jvp) transforms them: these know the
    plain operators only.
    """
    return (
        not isinstance(x, Proxy)
        and x.device.type == 'cpu'
        and _is_compiling is not None
        and not _is_compiling()
        and not torch.jit.is_tracing()
        and not (_modes is not None and _modes())
        and not (_transforms is not None and _transforms() is not None)
        and forward_ad._current_level < 0
    )


def is_channels_last(x: Tensor) -> bool:
    """Tell whether a map's channels are neighbours in memory."""
    return x.is_contiguous(memory_format=torch.channels_last)


def gated_concat(intrinsic: Tensor, ghost: Tensor, gate: Tensor) -> Tensor | None:
    """Concatenate two maps and multiply them with a smaller gate, in one pass.

    The gate is never enlarged: each of its pixels is broadcast to the window of pixels
    that nearest up-sampling would repeat it to. Backward keeps the two maps and the
    small gate, neither the concatenated nor the enlarged map.

    Args:
        intrinsic: (N, A, H, W).
        ghost: (N, B, H, W).
        gate: (N, A + B, h, w).

    Returns:
        (N, A + B, H, W), or None where there is no such pass: where h and w do not
        divide H and W, for up-sampling then repeats rows and columns unequally often;
        in mixed precision; and with gradients in any order but channels-last.
    """
    height, width = intrinsic.shape[2:]
    if height % gate.shape[2] or width % gate.shape[3] or intrinsic.numel() == 0:
        return None
    if not intrinsic.dtype == ghost.dtype == gate.dtype:
        return None
    last = is_channels_last(intrinsic) and is_channels_last(ghost)
    if not last and not (intrinsic.is_contiguous() and ghost.is_contiguous()):
        return None
    if not torch.is_grad_enabled():
        return _gate_halves(intrinsic, ghost, gate)
    return _GatedConcat.apply(intrinsic, ghost, gate) if last else None


def concat_add(intrinsic: Tensor, ghost: Tensor, shortcut: Tensor) -> Tensor:
    """Concatenate two maps and add a third, in one pass.

    Backward gives each map a gradient of its own where channels are last: a slice of the
    whole one would take batch normalisation's backward several times as long.

    Args:
        intrinsic: (N, A, H, W).
        ghost: (N, B, H, W).
        shortcut: (N, A + B, H, W).

    Returns:
        (N, A + B, H, W).
    """
    if not intrinsic.dtype == ghost.dtype == shortcut.dtype:  # mixed precision
        return torch.cat((intrinsic, ghost), dim=1) + shortcut
    if not torch.is_grad_enabled():
        return _add_halves(intrinsic, ghost, shortcut)
    if is_channels_last(shortcut):
        return _ConcatAdd.apply(intrinsic, ghost, shortcut)
    return torch.cat((intrinsic, ghost), dim=1) + shortcut


def _add_halves(intrinsic: Tensor, ghost: Tensor, shortcut: Tensor) -> Tensor:
    out = torch.empty_like(shortcut)
    split = intrinsic.shape[1]
    torch.add(intrinsic, shortcut[:, :split], out=out[:, :split])
    torch.add(ghost, shortcut[:, split:], out=out[:, split:])
    return out


class _ConcatAdd(torch.autograd.Function):
    @staticmethod
    def forward(intrinsic: Tensor, ghost: Tensor, shortcut: Tensor) -> Tensor:
        return _add_halves(intrinsic, ghost, shortcut)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.split = inputs[0].shape[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        halves = grad[:, : ctx.split], grad[:, ctx.split :]
        order = torch.channels_last
        return (*(half.contiguous(memory_format=order) for half in halves), grad)


def _gate_halves(intrinsic: Tensor, ghost: Tensor, gate: Tensor) -> Tensor:
    n, split, height, width = intrinsic.shape
    rows, columns = gate.shape[2:]
    last = is_channels_last(intrinsic)
    out = torch.empty(
        (n, gate.shape[1], height, width),
        dtype=gate.dtype,
        device=gate.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )
    if last:
        size = (rows, height // rows, columns, width // columns)
        gate = gate[:, :, :, None, :, None]
    else:
        # Neighbours in a row are neighbours in memory: repeating pixel by pixel in the
        # product would be slow, so rows are made full on the small map.
        repeats = width // columns
        gate = gate[..., None].expand(*gate.shape, repeats).reshape(n, -1, rows, width)
        size = (rows, height // rows, width)
        gate = gate[:, :, :, None]
    product = out.view(n, -1, *size)
    torch.mul(intrinsic.view(n, -1, *size), gate[:, :split], out=product[:, :split])
    torch.mul(ghost.view(n, -1, *size), gate[:, split:], out=product[:, split:])
    return out


class _GatedConcat(torch.autograd.Function):
    @staticmethod
    def forward(intrinsic: Tensor, ghost: Tensor, gate: Tensor) -> Tensor:
        return _gate_halves(intrinsic, ghost, gate)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        intrinsic, ghost, gate = ctx.saved_tensors
        n, split, height, width = intrinsic.shape
        rows, columns = gate.shape[2:]
        window = [height // rows, width // columns]
        size = (rows, window[0], columns, window[1])
        if not is_channels_last(grad):
            grad = grad.contiguous(memory_format=torch.channels_last)
        grads, sums = [], []
        for x, part in ((intrinsic, slice(split)), (ghost, slice(split, None))):
            towards, small = grad[:, part], gate[:, part, :, None, :, None]
            grads.append((towards.view(n, -1, *size) * small).view(x.shape))
            sums.append(F.avg_pool2d(towards * x, window, window, divisor_override=1))
        return (*grads, torch.cat(sums, dim=1))
