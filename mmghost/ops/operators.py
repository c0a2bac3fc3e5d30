"""The stand-ins: mmcv's arguments in, torchvision's operators underneath.

Names, arguments and tensors that are filled in place are those of ``mmcv._ext`` 2.x
(mmcv/ops/csrc/pytorch/pybind.cpp).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

try:
    from torchvision import ops as tv
except Exception as error:  # RuntimeError if it was built for another torch
    raise ImportError(
        "mmghost's stand-ins for mmcv's operators need a torchvision built for torch "
        f'{torch.__version__}, but importing torchvision failed: {error}. Install a '
        'matching pair; `python tools/doctor.py` prints the command.'
    ) from error

HARD, LINEAR, GAUSSIAN = range(3)  # mmcv's numbers of soft-NMS methods
MAX, AVERAGE = range(2)  # mmcv's numbers of pooling modes


@torch.no_grad()
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Suppress boxes that overlap a better one by more than a threshold.

    Args:
        boxes: Corners ``x1, y1, x2, y2`` in px, shape (N, 4).
        scores: Shape (N,).
        iou_threshold: Largest overlap that is kept.
        offset: 0, or 1 where a box's width is ``x2 - x1 + 1``.

    Returns:
        Indices of the kept boxes, best first.
    """
    # Sorted as in mmcv, so that equal scores come in the same order; torchvision then
    # sees falling ranks.
    order = scores.sort(descending=True)[1]
    ranked = _offset(_at_least_float32(boxes), offset)[order]
    ranks = torch.arange(len(order), 0, -1, device=ranked.device).to(ranked)
    return order[tv.nms(ranked, ranks, _float32(iou_threshold))]


@torch.no_grad()
def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the scores of overlapping boxes and drop those that fall too low.

    Args:
        boxes: Corners in px, shape (N, 4), on the CPU.
        scores: Shape (N,), on the CPU.
        dets: Filled in place with the kept boxes and their new scores, shape (N, 5).
        iou_threshold: Overlap from which a score is lowered (not used by Gaussian).
        sigma: Width of the Gaussian.
        min_score: Boxes whose score falls below this are dropped.
        method: 0 hard, 1 linear, 2 Gaussian.
        offset: 0, or 1 where a box's width is ``x2 - x1 + 1``.

    Returns:
        Indices of the kept boxes, in the order of ``dets``.
    """
    corners, scores = _offset(boxes, offset), scores.clone()
    rest, kept = torch.arange(len(boxes)), []
    while len(rest):
        best = rest[scores[rest].argmax()]
        dets[len(kept)] = torch.cat([boxes[best], scores[best, None]])
        kept.append(best)
        rest = rest[rest != best]
        # Boxes without area overlap nothing: 0 / 0 counts as 0.
        iou = tv.box_iou(corners[best, None], corners[rest])[0].nan_to_num()
        if method == GAUSSIAN:
            scores[rest] *= torch.exp(-(iou**2) / sigma)
        else:
            lowered = 1 - iou if method == LINEAR else torch.zeros_like(iou)
            scores[rest] *= lowered.where(
                iou >= _float32(iou_threshold), iou.new_ones(())
            )
        rest = rest[scores[rest] >= _float32(min_score)]
    return torch.stack(kept) if kept else rest


@torch.no_grad()
def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool each RoI into a grid of bins, each the mean of bilinear samples.

    Args:
        input: Feature maps, shape (N, C, H, W).
        rois: Index of the map, then corners in px of the image, shape (K, 5).
        output: Filled in place, shape (K, C, aligned_height, aligned_width).
        argmax_y: Not used; for maximum pooling.
        argmax_x: Not used; for maximum pooling.
        aligned_height: Bins per RoI, vertically.
        aligned_width: Bins per RoI, horizontally.
        spatial_scale: Map px per image px.
        sampling_ratio: Samples per bin and direction; 0 for about one per px.
        pool_mode: 1 for the mean.
        aligned: Shift by half a px, so that px centers are at integers.

    Raises:
        NotImplementedError: Maximum pooling, which torchvision does not have.
    """
    if pool_mode != AVERAGE:
        raise NotImplementedError(
            "RoIAlign with pool_mode='max' needs compiled operators of mmcv; mmghost's "
            "stand-in has pool_mode='avg'."
        )
    feature = _at_least_float32(input)
    bins, scale = (aligned_height, aligned_width), _float32(spatial_scale)
    rois = rois.to(feature.dtype)
    output.copy_(tv.roi_align(feature, rois, bins, scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of :func:`roi_align_forward` to ``grad_input``, in place.

    Args:
        grad_output: Shape (K, C, aligned_height, aligned_width).
        rois: As in the forward pass.
        argmax_y: Not used.
        argmax_x: Not used.
        grad_input: Shape (N, C, H, W).
        aligned_height: As in the forward pass.
        aligned_width: As in the forward pass.
        spatial_scale: As in the forward pass.
        sampling_ratio: As in the forward pass.
        pool_mode: As in the forward pass.
        aligned: As in the forward pass.
    """
    grad = _at_least_float32(grad_output)
    # The output is linear in the feature map, so its gradient is that at any map.
    feature = grad.new_zeros(grad_input.shape, requires_grad=True)
    bins, scale = (aligned_height, aligned_width), _float32(spatial_scale)
    rois = rois.to(grad.dtype)
    with torch.enable_grad():
        output = tv.roi_align(feature, rois, bins, scale, sampling_ratio, aligned)
    grad_input.add_(*torch.autograd.grad(output, feature, grad))


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
        weight: Factor of each target class, shape (C,), or empty. Background has the
            factor 1.
        output: Filled in place, shape (N, C).
        gamma: Exponent of the focus on hard examples.
        alpha: Weight of the positives; the negatives have ``1 - alpha``.
    """
    q, log_p, _, factor = _focal_terms(input, target, weight, alpha)
    output.copy_(-factor * q**gamma * log_p)


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

    In closed form: autograd gives NaN for saturated logits where ``gamma`` is below 1.

    Args:
        input: Logits, shape (N, C).
        target: As in the forward pass.
        weight: As in the forward pass.
        grad_input: Filled in place, shape (N, C).
        gamma: As in the forward pass.
        alpha: As in the forward pass.
    """
    q, log_p, sign, factor = _focal_terms(input, target, weight, alpha)
    grad_input.copy_(sign * factor * q**gamma * (gamma * (1 - q) * log_p - q))


def _focal_terms(
    logits: Tensor, target: Tensor, weight: Tensor, alpha: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what both passes are made of, each of shape (N, C).

    With p the probability of the right answer: 1 - p, log p, 1 for the target class
    and -1 elsewhere, and the factor of ``alpha`` and of the class weight.
    """
    classes = logits.shape[1]
    target = target.where(target >= 0, target.new_tensor(classes))
    logits = _at_least_float32(logits)
    sign = 2 * F.one_hot(target, classes + 1)[:, :classes].to(logits.dtype) - 1
    factor = 0.5 + sign * (alpha - 0.5)
    if weight.numel():
        factor = factor * F.pad(weight.to(logits.dtype), (0, 1), value=1)[target, None]
    return torch.sigmoid(-sign * logits), F.logsigmoid(sign * logits), sign, factor


def _at_least_float32(tensor: Tensor) -> Tensor:
    """Return half precision as float32, which torchvision needs on the CPU."""
    return tensor.float() if tensor.element_size() == 2 else tensor


def _float32(value: float) -> float:
    """Round to float32, as mmcv's C++ does: 0.3 is less than 3/10 in float32."""
    return float(np.float32(value))


def _offset(boxes: Tensor, offset: int) -> Tensor:
    """Move the second corners, so that ``x2 - x1`` is the width mmcv works with."""
    return boxes + boxes.new_tensor([0, 0, offset, offset])
