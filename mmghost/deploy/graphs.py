"""The networks as they are exported: with their postprocessing, on tensors alone.

Each graph computes what ``predict`` of its toolbox computes, for a whole batch and
without branches that depend on the data, so that a trace is right for every image. A
model has one if its head inherits the postprocessing of a base class of its toolbox; a
head that overrides it is refused.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from ..errors import UserError
from .nms import keep_best

# Scores (N, P, classes), score factors (N, P) and boxes (N, P, 4) of a level of priors.
Level = tuple[Tensor, Tensor | None, Tensor]
Axes = dict[str, dict[int, str]]
IMAGE = {0: 'batch', 2: 'height', 3: 'width'}


class Graph(nn.Module):
    """A network with the names of its inputs and outputs.

    Args:
        model: The toolbox's model, in evaluation mode.

    Attributes:
        task: As in :class:`~mmghost.deploy.runtime.ModelMetadata`.
        inputs: For each argument of ``forward``, the axes that follow the batch, the
            size of the image or the number of objects, as ``{axis: name}``.
        outputs: The same for what it returns.
    """

    task = ''
    inputs: Axes = {'image': IMAGE}
    outputs: Axes = {}

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


class ClassifierGraph(Graph):
    """Images to the probability of each class."""

    task = 'classification'
    outputs: Axes = {'scores': {0: 'batch'}}

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, classes)."""
        return self.model.head(self.model.extract_feat(image)).softmax(1)


class SegmentorGraph(Graph):
    """Images to the label of each of their pixels, as in mmseg.

    The logits are resized to the input, lose the padding, and are resized to the
    original image; only then is the best class taken.
    """

    task = 'segmentation'
    inputs: Axes = {'image': IMAGE, 'image_size': {}, 'original_size': {}}
    outputs: Axes = {'labels': {0: 'batch', 1: 'original_height', 2: 'original_width'}}

    def forward(
        self, image: Tensor, image_size: Tensor, original_size: Tensor
    ) -> Tensor:
        """Label images of one size.

        Args:
            image: (N, 3, H, W).
            image_size: Height and width without padding, int64 (2,).
            original_size: Height and width of the labels, int64 (2,).

        Returns:
            int64, (N, *original_size).
        """
        model = self.model
        logits = model.decode_head(model.extract_feat(image))
        logits = self.resize(logits, image.shape[2:])
        height, width = image_size.unbind()
        logits = self.resize(logits[:, :, :height, :width], original_size.unbind())
        if logits.shape[1] == 1:
            return (logits[:, 0].sigmoid() > model.decode_head.threshold).long()
        return logits.argmax(1)

    def resize(self, logits: Tensor, size: Sequence) -> Tensor:
        """Resize bilinearly as the model does."""
        return F.interpolate(
            logits, tuple(size), mode='bilinear', align_corners=self.model.align_corners
        )


class DetectorGraph(Graph):
    """Images to objects; the base of single-stage and two-stage detectors."""

    task = 'detection'
    inputs: Axes = {
        'image': IMAGE,
        'image_size': {0: 'batch'},
        'scale_factor': {0: 'batch'},
    }
    outputs: Axes = {name: {0: 'batch', 1: 'objects'} for name in ('dets', 'labels')}


class DenseGraph(DetectorGraph):
    """A single-stage detector with the postprocessing of mmdet's BaseDenseHead.

    RetinaNet, ATSS, FCOS and the like: for each level the best pairs of a prior and a
    class, boxes clipped and scaled to the original image, NMS by class.
    """

    def forward(
        self, image: Tensor, image_size: Tensor, scale_factor: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Find objects.

        Args:
            image: (N, 3, H, W).
            image_size: Heights and widths without padding, float32 (N, 2).
            scale_factor: Factors of width and height, from the original image to the
                input, float32 (N, 2).

        Returns:
            Boxes ``x1, y1, x2, y2`` in px of the original image and scores, (N, K, 5),
            best first, and labels, (N, K). Label -1 fills the table up.
        """
        shrink = (1 / scale_factor).repeat(1, 2)[:, None]
        boxes, scores, labels = choose(
            self.model.bbox_head, self.levels(image), image_size, shrink
        )
        return torch.cat([boxes, scores.clamp(min=0)[..., None]], dim=2), labels

    def levels(self, image: Tensor) -> list[Level]:
        """Return the levels, see :func:`decode_levels`."""
        head = self.model.bbox_head
        return decode_levels(head, head(self.model.extract_feat(image)))


class YoloGraph(DenseGraph):
    """YOLOv3: all levels at once, with objectness as the score factor."""

    def levels(self, image: Tensor) -> list[Level]:
        """Return scores, objectness and boxes of all levels together."""
        head = self.model.bbox_head
        (maps,) = head(self.model.extract_feat(image))
        parts = []
        for level, prior, stride in zip(maps, priors(head, maps), head.featmap_strides):
            values = flatten(level, head.num_attrib)
            center, size, objectness, classes = values.split(
                [2, 2, 1, head.num_attrib - 5], dim=2
            )
            deltas = torch.cat([center.sigmoid(), size], dim=2)
            boxes = head.bbox_coder.decode(prior, deltas, stride)
            parts.append((classes.sigmoid(), objectness[..., 0].sigmoid(), boxes))
        scores, objectness, boxes = (torch.cat(part, 1) for part in zip(*parts))
        return [(scores, objectness, boxes)]


class TwoStageGraph(DetectorGraph):
    """Faster R-CNN and Mask R-CNN: proposals, RoIAlign, boxes and masks.

    Masks leave the graph on their grid (28x28): stretched over the image they would be
    K times its size.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        if model.roi_head.with_mask:
            self.task = 'instance segmentation'
            self.outputs = {**self.outputs, 'masks': {0: 'batch', 1: 'objects'}}

    def forward(
        self, image: Tensor, image_size: Tensor, scale_factor: Tensor
    ) -> tuple[Tensor, ...]:
        """Find objects; arguments and results are those of :class:`DenseGraph`.

        With a mask head there is a third result: the probability that each cell of a
        grid over the box belongs to the object, (N, K, h, w).
        """
        roi_head = self.model.roi_head
        cfg, head = roi_head.test_cfg, roi_head.bbox_head
        features = self.model.extract_feat(image)
        proposals, found = self.proposals(features, image_size)
        n, k = proposals.shape[:2]
        logits, deltas = head(pool(roi_head.bbox_roi_extractor, features, proposals))
        scores = logits.softmax(-1)[:, :-1].reshape(n, k, head.num_classes)
        real = (scores > cfg.score_thr) & found[..., None]
        scores = torch.where(real, scores, -torch.ones_like(scores))
        kinds = 1 if head.reg_class_agnostic else head.num_classes
        anchors = proposals[:, :, None].expand(-1, -1, kinds, -1).reshape(-1, 4)
        boxes = head.bbox_coder.decode(anchors, deltas.reshape(-1, 4))
        boxes = clip(boxes.reshape(n, -1, 4), head, image_size).reshape(n, k, kinds, 4)
        boxes = boxes.expand(-1, -1, head.num_classes, -1).reshape(n, -1, 4)
        labels = torch.arange(head.num_classes).repeat(k)[None].expand(n, -1)
        scores = scores.reshape(n, -1)
        boxes, scores, labels = nms(boxes, scores, labels, cfg.nms, cfg.max_per_img)
        # Scaling does not change overlaps: before or after NMS is the same.
        shrink = (1 / scale_factor).repeat(1, 2)[:, None]
        dets = torch.cat([boxes * shrink, scores.clamp(min=0)[..., None]], dim=2)
        if not roi_head.with_mask:
            return dets, labels
        return dets, labels, self.masks(features, boxes, labels)

    def proposals(
        self, features: Sequence[Tensor], image_size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return proposals (N, K, 4), and which rows are one (N, K)."""
        head = self.model.rpn_head
        levels = decode_levels(head, head(features))
        boxes, scores, _ = choose(head, levels, image_size, proposals=True)
        return boxes, scores > 0

    def masks(
        self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor
    ) -> Tensor:
        """Return probabilities on a grid over each box, (N, K, h, w), or zeros."""
        roi_head = self.model.roi_head
        n, k = labels.shape
        real = (labels.reshape(-1) >= 0).nonzero()[:, 0]  # the head is expensive
        pooled = pool(roi_head.mask_roi_extractor, features, boxes, real)
        logits = roi_head.mask_head(pooled)
        if not roi_head.mask_head.class_agnostic:
            index = labels.reshape(-1)[real][:, None, None, None]
            logits = logits.gather(1, index.expand(-1, 1, *logits.shape[2:]))
        found = logits[:, 0].sigmoid()
        masks = found.new_zeros(1, *found.shape[1:]).repeat(n * k, 1, 1)
        masks[real] = found
        return masks.reshape(n, k, *found.shape[1:])


def decode_levels(head: nn.Module, maps: Sequence[Sequence[Tensor]]) -> list[Level]:
    """Decode what a dense head returns.

    Args:
        head: A head that postprocesses as mmdet's BaseDenseHead.
        maps: Classes, deltas and, with some heads, score factors; each by level.

    Returns:
        For each level scores (N, P, classes), score factors (N, P) or None, and boxes
        (N, P, 4), corners in px of the input, not clipped.
    """
    cls_scores, bbox_preds = maps[:2]
    factors = maps[2] if len(maps) == 3 else [None] * len(cls_scores)
    levels = []
    for cls_score, bbox_pred, factor, prior in zip(
        cls_scores, bbox_preds, factors, priors(head, cls_scores)
    ):
        logits = flatten(cls_score, head.cls_out_channels)
        if head.use_sigmoid_cls:
            scores = logits.sigmoid()
        else:
            scores = logits.softmax(-1)[..., :-1]
        if factor is not None:
            factor = flatten(factor, 1)[..., 0].sigmoid()
        deltas = flatten(bbox_pred, head.bbox_coder.encode_size)
        n, p = deltas.shape[:2]
        prior = prior[None].expand(n, -1, -1).reshape(n * p, -1)
        boxes = head.bbox_coder.decode(prior, deltas.reshape(n * p, -1))
        levels.append((scores, factor, boxes.reshape(n, p, 4)))
    return levels


def priors(head: nn.Module, maps: Sequence[Tensor]) -> list[Tensor]:
    """Return the priors of each level, (P, 2 or 4)."""
    return head.prior_generator.grid_priors(
        [level.shape[-2:] for level in maps],
        dtype=maps[0].dtype,
        device=maps[0].device,
    )


def flatten(maps: Tensor, channels: int) -> Tensor:
    """Turn a map (N, priors * channels, H, W) into (N, H * W * priors, channels)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, channels)


def take(rows: Tensor, places: Tensor) -> Tensor:
    """Take rows (N, K) of (N, P, C): (N, K, C)."""
    return rows.gather(1, places[..., None].expand(-1, -1, int(rows.shape[2])))


def choose(
    head: nn.Module,
    levels: list[Level],
    image_size: Tensor,
    shrink: Tensor | float = 1.0,
    proposals: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose boxes as mmdet's dense heads do: the best of each level, clipped, then NMS.

    Args:
        head: The head.
        levels: See :func:`decode_levels`.
        image_size: Heights and widths without padding, (N, 2).
        shrink: What corners are multiplied with.
        proposals: As an RPN: of any score, and NMS within levels in place of classes.

    Returns:
        Boxes, scores and labels or levels, see :func:`nms`.
    """
    cfg, parts = head.test_cfg, []
    least = -1.0 if proposals else max(cfg.get('score_thr', 0), 0)
    for level, (scores, factor, boxes) in enumerate(levels):
        real = scores > least
        if cfg.get('conf_thr', -1) > 0:  # YOLOv3
            real = real & (factor >= cfg.conf_thr)[..., None]
        scores = torch.where(real, scores, -torch.ones_like(scores))
        classes = scores.shape[2]
        scores, index = best(scores.flatten(1), cfg.nms_pre)
        places = torch.div(index, classes, rounding_mode='floor')
        if factor is not None:
            factor = factor.gather(1, places)
            scores = torch.where(scores > 0, scores * factor, scores)
        group = torch.full_like(places, level) if proposals else index % classes
        parts.append((take(boxes, places), scores, group))
    boxes, scores, groups = (torch.cat(part, 1) for part in zip(*parts))
    boxes = clip(boxes, head, image_size) * shrink
    if cfg.get('min_bbox_size', -1) >= 0:
        large = (boxes[..., 2:] - boxes[..., :2] > cfg.min_bbox_size).all(2)
        scores = torch.where(large, scores, torch.full_like(scores, -1.0))
    return nms(boxes, scores, groups, cfg.nms, cfg.max_per_img)


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the best of (N, M) and their places, (N, count); -1 and 0 if there are less."""
    scores, index = F.pad(scores, [0, count], value=-1.0).topk(count)
    return scores, torch.where(scores > 0, index, torch.zeros_like(index))


def clips(head: nn.Module) -> bool:
    """Return True if mmdet clips the boxes of a head to the image."""
    coder = head.bbox_coder
    yolo = type(coder).__name__ == 'YOLOBBoxCoder'
    return getattr(coder, 'clip_border', not yolo)


def clip(boxes: Tensor, head: nn.Module, image_size: Tensor) -> Tensor:
    """Clip corners (N, M, 4) to images of the sizes (N, 2), if mmdet does."""
    if not clips(head):
        return boxes
    limits = image_size.flip(1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), limits)


def nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, cfg: Any, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Suppress overlapping boxes of one group, as mmcv's ``batched_nms``.

    Args:
        boxes: (N, M, 4).
        scores: (N, M); 0 or less where there is no box.
        groups: Boxes of different groups never suppress each other, (N, M).
        cfg: ``test_cfg.nms``.
        count: Number of boxes to keep in each image.

    Returns:
        Boxes (N, count, 4), scores and groups (N, count), best first; zeros, -1 and -1
        where there are no more.
    """
    apart = boxes
    if not cfg.get('class_agnostic', False):
        there = torch.where(scores[..., None] > 0, boxes, torch.zeros_like(boxes))
        # Groups are moved apart, by the distance that mmcv takes.
        step = there.flatten(1).max(1, keepdim=True)[0] + 1
        apart = boxes + (groups.to(boxes) * step)[..., None]
    kept = keep_best(apart, scores, iou_threshold(cfg), count)
    scores = torch.where(kept, scores, torch.full_like(scores, -1.0))
    scores, index = best(scores, count)
    there, boxes = scores > 0, take(boxes, index)
    boxes = torch.where(there[..., None], boxes, torch.zeros_like(boxes))
    groups = torch.where(there, groups.gather(1, index), -torch.ones_like(index))
    return boxes, scores, groups


def iou_threshold(cfg: Any) -> float:
    """Return the threshold of a ``test_cfg.nms``, by its new or its old name."""
    return float(cfg.get('iou_threshold', cfg.get('iou_thr')))


def pool(
    extractor: nn.Module,
    features: Sequence[Tensor],
    boxes: Tensor,
    rows: Tensor | None = None,
) -> Tensor:
    """Pool each box from the level that fits its size, as mmdet's SingleRoIExtractor.

    Args:
        extractor: mmdet's RoI extractor.
        features: Maps by level, the finest first.
        boxes: (N, K, 4).
        rows: Which of the N * K boxes to pool; default: all.

    Returns:
        (number of boxes, C, height, width).
    """
    n, k = boxes.shape[:2]
    images = torch.arange(n)[:, None].expand(-1, k).reshape(-1, 1)
    rois = torch.cat([images.to(boxes), boxes.reshape(-1, 4)], dim=1)
    rois = rois if rows is None else rois[rows]
    layers = extractor.roi_layers
    levels = extractor.map_roi_levels(rois, len(layers))
    pooled, places = [], []
    for i, (layer, feature) in enumerate(zip(layers, features)):
        chosen = (levels == i).nonzero()[:, 0]
        # torchvision's, not the layer's: it is one node of ONNX.
        pooled.append(
            roi_align(
                feature,
                rois[chosen],
                layer.output_size,
                layer.spatial_scale,
                layer.sampling_ratio,
                layer.aligned,
            )
        )
        places.append(chosen)
    return torch.cat(pooled)[torch.cat(places).sort()[1]]


def keep_sizes_free(model: nn.Module) -> None:
    """Let mmseg's Upsample follow the size of the image in a trace, in place.

    It computes sizes as Python numbers, which a trace takes for constants.
    """
    for module in model.modules():
        for name, child in module.named_children():
            if type(child).__name__ == 'Upsample' and not child.size:
                factor, align = child.scale_factor, child.align_corners
                free = nn.Upsample(None, factor, child.mode, align)
                setattr(module, name, free)


def build_graph(model: nn.Module, scope: str) -> Graph:
    """Return the graph of a model.

    Args:
        model: The toolbox's model, in evaluation mode.
        scope: ``'mmdet'``, ``'mmseg'`` or ``'mmpretrain'``.

    Raises:
        UserError: If there is none that is known to be right.
    """
    build = dict(mmdet=_detector, mmseg=_segmentor, mmpretrain=_classifier)[scope]
    return build(model).eval()


def _classifier(model: nn.Module) -> Graph:
    from mmpretrain.models import ClsHead, ImageClassifier

    plain = isinstance(model, ImageClassifier) and _inherits(
        model.head, ClsHead, 'predict', '_get_predictions'
    )
    if not plain:
        raise _refusal(model, 'head')
    return ClassifierGraph(model)


def _segmentor(model: nn.Module) -> Graph:
    from mmseg.models import EncoderDecoder
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

    plain = type(model) is EncoderDecoder and _inherits(
        model.decode_head, BaseDecodeHead, 'predict', 'predict_by_feat'
    )
    if not plain:
        raise _refusal(model, 'decode_head')
    if model.test_cfg.get('mode', 'whole') != 'whole':
        raise UserError(
            "model.test_cfg.mode='slide' cuts an image into windows, which a graph "
            'cannot: export with --cfg-options model.test_cfg.mode=whole (the scores '
            'are then those of whole images)'
        )
    return SegmentorGraph(model)


def _detector(model: nn.Module) -> Graph:
    from mmdet.models import SingleStageDetector, TwoStageDetector
    from mmdet.models.dense_heads import YOLOV3Head
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    if isinstance(model, TwoStageDetector):
        return _two_stage(model)
    if not isinstance(model, SingleStageDetector):
        raise _refusal(model)
    head = model.bbox_head
    _check_test_cfg('model.test_cfg', head.test_cfg)
    if _inherits(head, YOLOV3Head, 'predict', 'predict_by_feat'):
        return YoloGraph(model)
    if not _inherits(head, BaseDenseHead, 'predict', 'predict_by_feat', *_SINGLE):
        raise _refusal(model, 'bbox_head')
    return DenseGraph(model)


def _two_stage(model: nn.Module) -> Graph:
    from mmdet.models import BBoxHead, FCNMaskHead, StandardRoIHead
    from mmdet.models.dense_heads import RPNHead

    rpn, head = model.rpn_head, model.roi_head
    plain = (
        _inherits(rpn, RPNHead, *_SINGLE)
        and type(head) is StandardRoIHead
        and _inherits(head.bbox_head, BBoxHead, 'predict_by_feat', _SINGLE[0])
        and (not head.with_mask or type(head.mask_head) is FCNMaskHead)
    )
    if not plain:
        raise _refusal(model, 'roi_head')
    _check_test_cfg('model.test_cfg.rpn', rpn.test_cfg)
    _check_test_cfg('model.test_cfg.rcnn', head.test_cfg, ('max_per_img',))
    return TwoStageGraph(model)


_SINGLE = ('_predict_by_feat_single', '_bbox_post_process')


def _inherits(head: nn.Module, base: type, *methods: str) -> bool:
    """Return True if a head has these methods from ``base``, unchanged."""
    return isinstance(head, base) and all(
        getattr(type(head), name) is getattr(base, name) for name in methods
    )


def _refusal(model: nn.Module, part: str | None = None) -> UserError:
    name = type(model).__name__
    if part is not None:
        name += f' with {type(getattr(model, part, None)).__name__}'
    return UserError(
        f'{name} has a postprocessing of its own: no export of it is known to be right'
    )


def _check_test_cfg(
    path: str, cfg: Any, counts: Sequence[str] = ('max_per_img', 'nms_pre')
) -> None:
    nms = cfg.get('nms') or {}
    known = {'type', 'iou_threshold', 'iou_thr', 'class_agnostic', 'split_thr'}
    if nms.get('type', 'nms') != 'nms' or set(nms) - known:
        raise UserError(
            f"{path}.nms={dict(nms)}: only dict(type='nms', iou_threshold=...) can be "
            'exported'
        )
    for name in counts:
        if cfg.get(name, -1) <= 0:
            raise UserError(
                f'{path}.{name}={cfg.get(name)!r}: a graph needs a number of boxes; '
                f'export with --cfg-options {path}.{name}=1000'
            )
