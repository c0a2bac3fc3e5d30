"""Focal loss: ``sigmoid_focal_loss_*`` and ``softmax_focal_loss_*`` of ``mmcv._ext``.

The formulas are written out as mmcv's kernels have them, so that saturated logits give
the same values: log(1 - p) is cut at float32's smallest normal number there.
"""

import torch
from torch import Tensor

from .backend import single, widen

SMALLEST = torch.finfo(torch.float32).tiny


@torch.no_grad()
def sigmoid_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Compute the focal loss of independent classes.

    Args:
        input: Logits, shape (N, C).
        target: Class numbers, shape (N,); C, or a negative number, is background.
        weight: Factor of each target class, shape (C,), or empty. Background, for
            which mmcv reads past the end of the table, has the factor 1.
        output: Filled in place, shape (N, C).
        gamma: Exponent of the focus on hard examples.
        alpha: Weight of the positives; the negatives have ``1 - alpha``.

    Raises:
        ValueError: A class number greater than C.
    """
    if input.numel() == 0:
        return
    _check_target(target, input.shape[1])
    gamma, alpha = single(gamma), single(alpha)
    p = 1 / (1 + torch.exp(-widen(input)))
    at, positive = _positives(target, input.shape[1])
    p_at = p.gather(1, at)
    hit = -alpha * (1 - p_at) ** gamma * _log(p_at)
    loss = -(1 - alpha) * p**gamma * _log(1 - p)
    loss.scatter_(1, at, hit.where(positive, loss.gather(1, at)))
    output.copy_(_weighted(loss, target, weight))


@torch.no_grad()
def sigmoid_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Compute the derivative of each loss value by its logit.

    Args:
        input: Logits, shape (N, C).
        target: As in the forward pass.
        weight: As in the forward pass.
        grad_input: Filled in place, shape (N, C).
        gamma: As in the forward pass.
        alpha: As in the forward pass.
    """
    if input.numel() == 0:
        return
    gamma, alpha = single(gamma), single(alpha)
    p = 1 / (1 + torch.exp(-widen(input)))
    at, positive = _positives(target, input.shape[1])
    p_at = p.gather(1, at)
    hit = -alpha * (1 - p_at) ** gamma * (1 - p_at - gamma * p_at * _log(p_at))
    grad = -(1 - alpha) * p**gamma * (gamma * (1 - p) * _log(1 - p) - p)
    grad.scatter_(1, at, hit.where(positive, grad.gather(1, at)))
    grad_input.copy_(_weighted(grad, target, weight))


@torch.no_grad()
def softmax_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Compute the focal loss of exclusive classes.

    Args:
        input: Probabilities (after softmax), shape (N, C).
        target: Class numbers, shape (N,); a negative number is ignored.
        weight: Factor of each target class, shape (C,), or empty.
        output: Filled in place, shape (N,).
        gamma: Exponent of the focus on hard examples.
        alpha: Weight of all terms.

    Raises:
        ValueError: A class number of C or more, for which mmcv reads another row.
    """
    if input.numel() == 0:
        return
    _check_target(target, input.shape[1] - 1)
    gamma, alpha = single(gamma), single(alpha)
    at, valid = _positives(target, input.shape[1])
    p = widen(input).gather(1, at)
    loss = -alpha * (1 - p) ** gamma * _log(p)
    loss = loss.where(valid, loss.new_tensor(0))
    output.copy_(_weighted(loss, target, weight)[:, 0])


@torch.no_grad()
def softmax_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Compute the derivatives of each row's loss by its logits.

    Args:
        input: Probabilities (after softmax), shape (N, C).
        target: As in the forward pass.
        weight: As in the forward pass.
        buff: Filled in place with what the derivatives of a row have in common, (N,).
        grad_input: Filled in place, shape (N, C).
        gamma: As in the forward pass.
        alpha: As in the forward pass.
    """
    if input.numel() == 0:
        return
    gamma, alpha = single(gamma), single(alpha)
    softmax = widen(input)
    at, valid = _positives(target, input.shape[1])
    p = softmax.gather(1, at)
    common = alpha * (gamma * (1 - p) ** (gamma - 1) * p * _log(p) - (1 - p) ** gamma)
    common = _weighted(common.where(valid, common.new_tensor(0)), target, weight)
    buff.copy_(common[:, 0])
    grad = -common * softmax
    grad.scatter_add_(1, at, common)
    grad_input.copy_(grad.where(valid, grad.new_tensor(0)))


def _log(p: Tensor) -> Tensor:
    return torch.log(p.clamp(min=SMALLEST))


def _positives(target: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Column of each row's target, any column where it is none, and whether it is."""
    valid = (target >= 0) & (target < classes)
    return target.clamp(0, classes - 1)[:, None], valid[:, None]


def _weighted(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if weight.numel() == 0:
        return values
    at, valid = _positives(target, len(weight))
    factor = weight.to(values.dtype)[at]
    return values * factor.where(valid, factor.new_tensor(1))


def _check_target(target: Tensor, greatest: int) -> None:
    found = int(target.max())
    if found > greatest:
        raise ValueError(
            f'focal loss: class number {found} is out of range; the greatest allowed '
            f'is {greatest}.'
        )
