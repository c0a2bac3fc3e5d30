"""Operators that ONNX has and tracing cannot see: suppression and RoIAlign.

mmcv's own exports of the two need its compiled operators and a deployment library that
is no longer kept. Here each is one node of ONNX's standard set; traced, it computes with
mmcv's operator or its stand-in.
"""

from typing import Any

import torch
from torch import Tensor


class _NonMaxSuppression(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, count: int
    ) -> Tensor:
        from mmcv.ops import nms

        rows = []
        for number, (box, score) in enumerate(zip(boxes, scores[:, 0])):
            valid = (score > 0).nonzero()[:, 0]
            keep = valid[nms(box[valid], score[valid], iou_threshold)[1]][:count]
            rows.append(
                torch.stack([torch.full_like(keep, number), 0 * keep, keep], dim=1)
            )
        return torch.cat(rows)

    @staticmethod
    def symbolic(
        g: Any, boxes: Any, scores: Any, iou_threshold: float, count: int
    ) -> Any:
        def constant(value: Any) -> Any:
            return g.op('Constant', value_t=torch.tensor([value]))

        return g.op(
            'NonMaxSuppression',
            boxes,
            scores,
            constant(count),
            constant(iou_threshold),
            constant(0.0),
        )


def keep_best(
    boxes: Tensor, scores: Tensor, iou_threshold: float, count: int
) -> Tensor:
    """Suppress boxes that overlap a better one of the same picture.

    Args:
        boxes: Corners in px, (N, M, 4).
        scores: (N, M); what is 0 or less is no candidate.
        iou_threshold: A box goes when its overlap is greater than this.
        count: How many to keep at most in each picture.

    Returns:
        Which are kept, booleans (N, M).
    """
    chosen = _NonMaxSuppression.apply(boxes, scores[:, None], iou_threshold, count)
    kept = torch.zeros_like(scores)
    kept[chosen[:, 0], chosen[:, 2]] = 1.0
    return kept > 0


class _RoIAlign(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        boxes: Tensor,
        numbers: Tensor,
        size: tuple[int, int],
        scale: float,
        sampling_ratio: int,
        aligned: bool,
    ) -> Tensor:
        from mmcv.ops import roi_align

        rois = torch.cat([numbers[:, None].to(boxes), boxes], dim=1)
        return roi_align(features, rois, size, scale, sampling_ratio, 'avg', aligned)

    @staticmethod
    def symbolic(
        g: Any,
        features: Any,
        boxes: Any,
        numbers: Any,
        size: tuple[int, int],
        scale: float,
        sampling_ratio: int,
        aligned: bool,
    ) -> Any:
        return g.op(
            'RoiAlign',
            features,
            boxes,
            numbers,
            coordinate_transformation_mode_s=(
                'half_pixel' if aligned else 'output_half_pixel'
            ),
            mode_s='avg',
            output_height_i=size[0],
            output_width_i=size[1],
            sampling_ratio_i=sampling_ratio,
            spatial_scale_f=scale,
        )


def roi_align(layer: Any, features: Tensor, boxes: Tensor, numbers: Tensor) -> Tensor:
    """Pool boxes as one of mmcv's RoIAlign layers does.

    Args:
        layer: The ``mmcv.ops.RoIAlign``.
        features: (N, C, H, W).
        boxes: Corners in px of the input, (K, 4).
        numbers: Which picture of the batch each is in, int64 (K,).

    Returns:
        (K, C, height, width of the layer's output).
    """
    return _RoIAlign.apply(
        features,
        boxes,
        numbers,
        layer.output_size,
        layer.spatial_scale,
        layer.sampling_ratio,
        layer.aligned,
    )
