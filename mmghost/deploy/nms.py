"""Non-maximum suppression for batches, as one node of ONNX."""

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms


class _NonMaxSuppression(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, count: int
    ) -> Tensor:
        rows = []
        for i, (box, score) in enumerate(zip(boxes, scores[:, 0])):
            valid = (score > 0).nonzero()[:, 0]
            keep = valid[nms(box[valid], score[valid], iou_threshold)][:count]
            rows.append(torch.stack([torch.full_like(keep, i), 0 * keep, keep], dim=1))
        return torch.cat(rows)

    @staticmethod
    def symbolic(
        g: Any, boxes: Any, scores: Any, iou_threshold: float, count: int
    ) -> Any:
        values = (
            g.op('Constant', value_t=torch.tensor([value]))
            for value in (count, iou_threshold, 0.0)
        )
        return g.op('NonMaxSuppression', boxes, scores, *values)


def keep_best(
    boxes: Tensor, scores: Tensor, iou_threshold: float, count: int
) -> Tensor:
    """Suppress boxes that overlap a better one of the same image.

    torchvision's own export takes one image, and as many boxes as there are.

    Args:
        boxes: Corners in px, (N, M, 4).
        scores: (N, M); 0 or less where there is no box.
        iou_threshold: A box of a larger overlap is suppressed.
        count: Largest number of boxes to keep in each image.

    Returns:
        Which are kept, booleans (N, M).
    """
    chosen = _NonMaxSuppression.apply(boxes, scores[:, None], iou_threshold, count)
    kept = torch.zeros_like(scores)
    kept[chosen[:, 0], chosen[:, 2]] = 1.0
    return kept > 0
