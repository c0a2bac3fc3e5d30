"""Deformable convolution, plain (v1) and modulated (v2): operators of ``mmcv._ext``."""

import torch
from torch import Tensor

from .backend import tolerate_nondeterminism, torchvision_ops, widen


@torch.no_grad()
def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Convolve at shifted positions.

    Args:
        input: Shape (N, C, H, W).
        weight: Shape (D, C / group, kH, kW).
        offset: Shifts in px, y before x for each kernel position, shape
            (N, deformable_group * kH * kW * 2, H', W').
        output: Filled in place, shape (N, D, H', W').
        columns: Work space, not used here.
        ones: Work space, not used here.
        kW: Width of the kernel (its height is ``kH``).
        kH: Height of the kernel.
        dW: Stride, horizontally.
        dH: Stride, vertically.
        padW: Padding, horizontally.
        padH: Padding, vertically.
        dilationW: Dilation, horizontally.
        dilationH: Dilation, vertically.
        group: Groups of the convolution.
        deformable_group: Groups of channels with shifts of their own.
        im2col_step: Pictures at a time; it does not change the result.
    """
    settings = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    output.copy_(_forward(input, weight, offset, None, None, settings))


@torch.no_grad()
def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Compute the gradients by input (added) and by offset (set), in place.

    The arguments are those of :func:`deform_conv_forward`.
    """
    settings = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    by_input, _, by_offset, _, _ = _backward(
        gradOutput, input, weight, offset, None, None, settings
    )
    gradInput.add_(by_input)
    gradOffset.copy_(by_offset)


@torch.no_grad()
def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add the gradient by weight, times ``scale``, to ``gradWeight``, in place.

    The arguments are those of :func:`deform_conv_forward`.
    """
    # A convolution of every channel by itself, whose kernels pick one position each,
    # gives the samples of im2col; torchvision has no gradient by weight alone.
    channels = input.shape[1]
    picks = torch.eye(kH * kW, dtype=input.dtype, device=input.device)
    picks = picks.view(-1, 1, kH, kW).repeat(channels, 1, 1, 1)
    settings = (dH, dW, padH, padW, dilationH, dilationW, channels, deformable_group)
    samples = _forward(input, picks, offset, None, None, settings)
    by_weight = torch.einsum(
        'ngohw,ngkhw->gok',
        widen(gradOutput).unflatten(1, (group, -1)),
        samples.unflatten(1, (group, -1)),
    )
    gradWeight.add_(by_weight.reshape(gradWeight.shape).to(gradWeight), alpha=scale)


@torch.no_grad()
def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Convolve at shifted positions, each sample times a factor.

    Args:
        input: Shape (N, C, H, W).
        weight: Shape (D, C / group, kernel_h, kernel_w).
        bias: Shape (D,); read where ``with_bias`` is set.
        ones: Work space, not used here.
        offset: Shifts in px, y before x for each kernel position, shape
            (N, deformable_group * kernel_h * kernel_w * 2, H', W').
        mask: Factors, shape (N, deformable_group * kernel_h * kernel_w, H', W').
        output: Filled in place, shape (N, D, H', W').
        columns: Work space, not used here.
        kernel_h: Height of the kernel.
        kernel_w: Width of the kernel.
        stride_h: Stride, vertically.
        stride_w: Stride, horizontally.
        pad_h: Padding, vertically.
        pad_w: Padding, horizontally.
        dilation_h: Dilation, vertically.
        dilation_w: Dilation, horizontally.
        group: Groups of the convolution.
        deformable_group: Groups of channels with shifts and factors of their own.
        with_bias: Whether the bias is added.
    """
    settings = (
        *(stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w),
        *(group, deformable_group),
    )
    bias = bias if with_bias else None
    output.copy_(_forward(input, weight, offset, mask, bias, settings))


@torch.no_grad()
def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Compute all gradients of :func:`modulated_deform_conv_forward`, in place.

    Those by input, weight and bias are added to what is there, those by offset and mask
    replace it, as in mmcv. The arguments are those of the forward pass.
    """
    settings = (
        *(stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w),
        *(group, deformable_group),
    )
    by_input, by_weight, by_offset, by_mask, by_bias = _backward(
        grad_output, input, weight, offset, mask, bias if with_bias else None, settings
    )
    grad_input.add_(by_input)
    grad_weight.add_(by_weight)
    grad_offset.copy_(by_offset)
    grad_mask.copy_(by_mask)
    if with_bias:
        grad_bias.add_(by_bias)


def _forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    settings: tuple[int, ...],
) -> Tensor:
    arguments = _arguments(input, weight, offset, mask, bias)
    return torchvision_ops().deform_conv2d(*arguments, *settings, mask is not None)


def _backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    settings: tuple[int, ...],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients by input, weight, offset, mask and bias."""
    arguments = _arguments(input, weight, offset, mask, bias)
    with tolerate_nondeterminism(input):
        by_input, by_weight, by_offset, by_mask, by_bias = (
            torchvision_ops()._deform_conv2d_backward(
                widen(grad).contiguous(), *arguments, *settings, mask is not None
            )
        )
    # A sample exactly one px before the first row or column does not reach the map
    # any more; torchvision has the slope from inside there, mmcv none. Padded layers
    # whose shifts start at 0 begin with a whole frame of such samples.
    before = _positions(offset, weight.shape[2:], settings) == -1
    by_offset = by_offset.view_as(before).masked_fill(before, 0).view_as(offset)
    return by_input, by_weight, by_offset, by_mask, by_bias


def _positions(offset: Tensor, kernel: torch.Size, settings: tuple[int, ...]) -> Tensor:
    """Where the samples lie, in px of the input: (N, groups, kh, kw, 2, H', W')."""
    stride, pad, dilation = settings[0:2], settings[2:4], settings[4:6]
    shape = offset.shape[2:]
    rows, columns = (
        torch.arange(shape[axis], device=offset.device) * stride[axis]
        - pad[axis]
        + torch.arange(kernel[axis], device=offset.device)[:, None] * dilation[axis]
        for axis in (0, 1)
    )
    rows = rows[:, None, :, None].expand(*kernel, *shape)
    columns = columns[None, :, None, :].expand(*kernel, *shape)
    shifts = offset.view(len(offset), -1, *kernel, 2, *shape)
    return torch.stack([rows, columns], dim=2) + shifts


def _arguments(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
) -> list[Tensor]:
    """Tensors as torchvision takes them, which wants a mask and a bias always."""
    mask = input.new_zeros(len(input), 1) if mask is None else mask
    bias = input.new_zeros(len(weight)) if bias is None else bias
    return [widen(tensor) for tensor in (input, weight, offset, mask, bias)]
