"""The networks as they are exported: with what follows the heads, in tensors alone.

Each graph computes what its toolbox's ``predict`` computes, for a whole batch and without
branches that depend on the data, so that a trace holds for every picture. Which models
have one is told by the methods that they share with mmdet's base classes: a head that
post-processes in a way of its own is refused, not guessed at.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from .onnx_operators import keep_best, roi_align

RAW_NAMES = {
    1: ('pred_map',),
    2: ('cls_score', 'bbox_pred'),
    3: ('cls_score', 'bbox_pred', 'score_factor'),
}


class Graph(nn.Module):
    """A network with the names of its inputs and outputs.

    Args:
        model: The toolbox's model, in evaluation mode.

    Attributes:
        task: As in :class:`~mmghost.deploy.runtime.Facts`.
        inputs: Names of the arguments of ``forward``.
        outputs: Names of what it returns.
        free: Axes of outputs that follow the batch or the picture's size:
            ``{name: {axis: what}}``.
    """

    task = ''
    inputs: tuple[str, ...] = ('image',)
    outputs: tuple[str, ...] = ()

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def free(self) -> dict[str, dict[int, str]]:
        """Axes of outputs that are not fixed: by default the batch alone."""
        return {name: {0: 'batch'} for name in self.outputs}


class ClassifierGraph(Graph):
    """Pictures to the probability of each class; raw: to logits."""

    task = 'classification'

    def __init__(self, model: nn.Module, raw: bool = False) -> None:
        super().__init__(model)
        self.raw = raw
        self.outputs = ('logits',) if raw else ('scores',)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, classes)."""
        logits = self.model.head(self.model.extract_feat(image))
        return logits if self.raw else logits.softmax(1)


class SegmentorGraph(Graph):
    """Pictures to the label of each of their own pixels.

    The head's logits go up to the network's input, lose what was padded, and go on to
    the picture's own size, as in mmseg; only then is the best class taken.
    """

    task = 'segmentation'
    inputs = ('image', 'image_size', 'original_size')
    outputs = ('labels',)

    def forward(
        self, image: Tensor, image_size: Tensor, original_size: Tensor
    ) -> Tensor:
        """Label pictures of one size.

        Args:
            image: (N, 3, H, W).
            image_size: Height and width without padding, int64 (2,).
            original_size: Height and width of the labels, int64 (2,).

        Returns:
            int64, (N, *original_size).
        """
        model = self.model
        logits = model.decode_head.forward(model.extract_feat(image))
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

    @property
    def free(self) -> dict[str, dict[int, str]]:
        """The label map is as large as the picture was."""
        return {'labels': {0: 'batch', 1: 'original_height', 2: 'original_width'}}


class LogitsGraph(Graph):
    """Pictures to the logits of a segmentor's head, at the head's own stride."""

    task = 'segmentation'
    outputs = ('logits',)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, classes, h, w)."""
        return self.model.decode_head.forward(self.model.extract_feat(image))

    @property
    def free(self) -> dict[str, dict[int, str]]:
        """The logits follow the picture's size."""
        return {'logits': {0: 'batch', 2: 'logits_height', 3: 'logits_width'}}


class HeadOutputsGraph(Graph):
    """Pictures to what a single-stage detector's head gives, level by level."""

    task = 'detection'

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        with torch.no_grad():
            kinds = self.kinds(torch.zeros(1, 3, 256, 256))
        names = RAW_NAMES.get(len(kinds)) or [f'output_{i}' for i in range(len(kinds))]
        self.outputs = tuple(
            f'{name}_{level}'
            for name, maps in zip(names, kinds)
            for level in range(len(maps))
        )

    def kinds(self, image: Tensor) -> tuple[Sequence[Tensor], ...]:
        """The head's outputs: for each kind a list of levels."""
        return tuple(self.model.bbox_head(self.model.extract_feat(image)))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (N, 3, H, W) to maps (N, channels, h, w)."""
        return tuple(level for kind in self.kinds(image) for level in kind)

    @property
    def free(self) -> dict[str, dict[int, str]]:
        """The maps follow the picture's size."""
        return {
            name: {0: 'batch', 2: f'{name}_height', 3: f'{name}_width'}
            for name in self.outputs
        }


class DetectorGraph(Graph):
    """Pictures to objects: what single-stage detectors and two-stage ones share."""

    task = 'detection'
    inputs = ('image', 'image_size', 'scale_factor')
    outputs = ('dets', 'labels')

    @property
    def free(self) -> dict[str, dict[int, str]]:
        """As many rows as the head keeps at most, a number that tracing does not see."""
        return {name: {0: 'batch', 1: 'objects'} for name in self.outputs}

    def candidates(self, scores: Tensor, count: int, threshold: float) -> tuple:
        """Take the best pairs of a place and a class.

        Args:
            scores: (N, places, classes), 0 to 1.
            count: How many to take of each picture.
            threshold: Pairs must score more than this.

        Returns:
            Scores, places and classes, (N, count) each; the score is -1 where there is
            no such pair.
        """
        n, _, classes = scores.shape
        flat = scores.reshape(n, -1)
        flat = torch.where(flat > threshold, flat, torch.full_like(flat, -1.0))
        # A small map has fewer pairs: the table is filled up before the best are taken.
        flat = torch.cat([flat, flat.new_full((1, count), -1.0).expand(n, -1)], dim=1)
        best, index = flat.topk(count)
        index = torch.where(best < 0, torch.zeros_like(index), index)
        return best, torch.div(index, classes, rounding_mode='floor'), index % classes

    def suppress(
        self, boxes: Tensor, scores: Tensor, groups: Tensor, cfg: Any, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Suppress overlapping boxes of one group, as mmcv's ``batched_nms``.

        Args:
            boxes: (N, M, 4).
            scores: (N, M); 0 or less where there is no box.
            groups: Boxes of different groups do not touch, (N, M).
            cfg: ``test_cfg.nms``.
            count: How many to keep in each picture.

        Returns:
            Boxes (N, count, 4), scores and groups (N, count), best first. Where there
            are no more: zeros, -1 and -1.
        """
        n = boxes.shape[0]
        apart = boxes
        if not cfg.get('class_agnostic', False):
            there = torch.where(scores[..., None] > 0, boxes, torch.zeros_like(boxes))
            # The groups are moved apart, by the distance that mmcv takes.
            step = there.flatten(1).max(1, keepdim=True)[0] + 1
            apart = boxes + (groups.to(boxes) * step)[..., None]
        threshold = cfg.get('iou_threshold', cfg.get('iou_thr'))
        kept = keep_best(apart, scores, float(threshold), count)
        scores = torch.where(kept, scores, torch.full_like(scores, -1.0))
        # Rows to fill the table up with, and to be able to take the best of.
        scores = torch.cat([scores, scores.new_full((1, count), -1.0).expand(n, -1)], 1)
        boxes = torch.cat([boxes, boxes.new_zeros(1, count, 4).expand(n, -1, -1)], 1)
        groups = torch.cat([groups, groups.new_full((1, count), -1).expand(n, -1)], 1)
        best, index = scores.topk(count)
        there = best > 0
        boxes = boxes.gather(1, index[..., None].expand(-1, -1, 4))
        boxes = torch.where(there[..., None], boxes, torch.zeros_like(boxes))
        groups = torch.where(there, groups.gather(1, index), -torch.ones_like(index))
        return boxes, best, groups

    @staticmethod
    def table(boxes: Tensor, scores: Tensor) -> Tensor:
        """Boxes and scores in one table (N, K, 5), as OpenMMLab's exports have it."""
        return torch.cat([boxes, scores.clamp(min=0)[..., None]], dim=2)

    def finish(
        self,
        boxes: Tensor,
        scores: Tensor,
        labels: Tensor,
        scale_factor: Tensor,
        cfg: Any,
    ) -> tuple[Tensor, Tensor]:
        """Take a single-stage detector's boxes to the original picture, and the best.

        Args:
            boxes: (N, M, 4), in px of the input.
            scores: (N, M); 0 or less where there is no box.
            labels: (N, M).
            scale_factor: Of width and height, from the original to the input, (N, 2).
            cfg: The head's ``test_cfg``.

        Returns:
            The table of boxes and scores, (N, K, 5), and labels, (N, K).
        """
        boxes = boxes * (1 / scale_factor).repeat(1, 2)[:, None]
        scores = drop_small(boxes, scores, cfg.get('min_bbox_size', -1))
        boxes, scores, labels = self.suppress(
            boxes, scores, labels, cfg.nms, cfg.max_per_img
        )
        return self.table(boxes, scores), labels


def decode(coder: Any, priors: Tensor, deltas: Tensor, image_size: Tensor) -> Tensor:
    """Decode boxes and clip them to the picture.

    Args:
        coder: mmdet's box coder.
        priors: (N, M, 2 or 4).
        deltas: (N, M, 4).
        image_size: Height and width, (N, 2).

    Returns:
        Corners in px of the input, (N, M, 4).
    """
    n, m = deltas.shape[:2]
    boxes = coder.decode(
        priors.reshape(-1, priors.shape[2]), deltas.reshape(-1, deltas.shape[2])
    ).reshape(n, m, 4)
    return clip(boxes, image_size) if getattr(coder, 'clip_border', True) else boxes


def clip(boxes: Tensor, image_size: Tensor) -> Tensor:
    """Clip corners (N, M, 4) to pictures of the sizes (N, 2), height first."""
    limits = image_size.flip(1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), limits)


def drop_small(boxes: Tensor, scores: Tensor, least: float) -> Tensor:
    """Set the scores of boxes to -1 whose sides are not longer than ``least``."""
    if least < 0:
        return scores
    sides = boxes[..., 2:] - boxes[..., :2]
    return torch.where((sides > least).all(2), scores, torch.full_like(scores, -1.0))


def flatten(maps: Tensor, channels: int) -> Tensor:
    """Lay a map (N, priors * channels, H, W) out as (N, H * W * priors, channels)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, channels)


def take(table: Tensor, places: Tensor) -> Tensor:
    """Take rows (N, K) of tables (N, P, C): (N, K, C)."""
    return table.gather(1, places[..., None].expand(-1, -1, table.shape[2]))


class DenseGraph(DetectorGraph):
    """A single-stage detector that post-processes as mmdet's BaseDenseHead does.

    RetinaNet, ATSS, FCOS and their like: per level the best pairs of a prior and a
    class, boxes decoded and brought to the picture's own pixels, suppression by class.
    """

    def forward(
        self, image: Tensor, image_size: Tensor, scale_factor: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Find objects.

        Args:
            image: (N, 3, H, W).
            image_size: Heights and widths without padding, float32 (N, 2).
            scale_factor: How many times wider and higher than its original each
                picture is, float32 (N, 2).

        Returns:
            Boxes ``x1, y1, x2, y2`` in px of the original and scores, (N, K, 5), best
            first, and labels, (N, K); label -1 fills the table up.
        """
        head = self.model.bbox_head
        cfg = head.test_cfg
        maps = head(self.model.extract_feat(image))
        cls_scores, bbox_preds = maps[:2]
        factors = maps[2] if len(maps) == 3 else [None] * len(cls_scores)
        priors = head.prior_generator.grid_priors(
            [level.shape[-2:] for level in cls_scores],
            dtype=image.dtype,
            device=image.device,
        )
        parts = []
        for cls_score, bbox_pred, factor, prior in zip(
            cls_scores, bbox_preds, factors, priors
        ):
            logits = flatten(cls_score, head.cls_out_channels)
            if head.use_sigmoid_cls:
                scores = logits.sigmoid()
            else:
                scores = logits.softmax(-1)[..., :-1]
            scores, places, labels = self.candidates(
                scores, cfg.nms_pre, cfg.get('score_thr', 0)
            )
            if factor is not None:
                quality = take(flatten(factor, 1), places)[..., 0].sigmoid()
                scores = torch.where(scores > 0, scores * quality, scores)
            deltas = take(flatten(bbox_pred, head.bbox_coder.encode_size), places)
            parts.append((scores, labels, deltas, prior[places]))
        scores, labels, deltas, chosen = (torch.cat(part, 1) for part in zip(*parts))
        boxes = decode(head.bbox_coder, chosen, deltas, image_size)
        return self.finish(boxes, scores, labels, scale_factor, cfg)


class YoloGraph(DetectorGraph):
    """YOLOv3: all levels at once, objectness as a threshold and as a factor."""

    def forward(
        self, image: Tensor, image_size: Tensor, scale_factor: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Find objects; arguments and results are those of :class:`DenseGraph`."""
        head = self.model.bbox_head
        cfg = head.test_cfg
        (maps,) = head(self.model.extract_feat(image))
        priors = head.prior_generator.grid_priors(
            [level.shape[-2:] for level in maps], device=image.device
        )
        tables = [flatten(level, head.num_attrib) for level in maps]
        strides = torch.cat(
            [
                torch.ones_like(table[0, :, :1]) * float(stride)
                for table, stride in zip(tables, head.featmap_strides)
            ]
        )
        table, priors = torch.cat(tables, 1), torch.cat(priors)
        objectness = table[..., 4].sigmoid()
        scores = table[..., 5:].sigmoid()
        if cfg.get('conf_thr', -1) > 0:
            sure = (objectness >= cfg.conf_thr)[..., None]
            scores = torch.where(sure, scores, torch.full_like(scores, -1.0))
        scores, places, labels = self.candidates(
            scores, cfg.nms_pre, max(cfg.get('score_thr', 0), 0)
        )
        factor = objectness.gather(1, places)
        scores = torch.where(scores > 0, scores * factor, scores)
        deltas = take(table, places)
        deltas = torch.cat([deltas[..., :2].sigmoid(), deltas[..., 2:4]], dim=2)
        boxes = head.bbox_coder.decode(priors[places], deltas, strides[places])
        return self.finish(boxes, scores, labels, scale_factor, cfg)


class TwoStageGraph(DetectorGraph):
    """Faster R-CNN and Mask R-CNN: proposals, RoIAlign, boxes and masks.

    Masks leave the graph on their grid (28x28); stretching them over their boxes is for
    whoever draws them, as they would be K times the size of the picture.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        if model.roi_head.with_mask:
            self.task = 'instance segmentation'
            self.outputs = ('dets', 'labels', 'masks')

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
        proposals, there = self.proposals(features, image_size)
        n, k = proposals.shape[:2]
        numbers = torch.arange(n)[:, None].expand(-1, k).reshape(-1)
        pooled = pool(
            roi_head.bbox_roi_extractor, features, proposals.reshape(-1, 4), numbers
        )
        logits, deltas = head(pooled)
        scores = logits.softmax(-1)[:, :-1].reshape(n, k, head.num_classes)
        scores = torch.where(
            (scores > cfg.score_thr) & there[..., None],
            scores,
            torch.full_like(scores, -1.0),
        )
        kinds = 1 if head.reg_class_agnostic else head.num_classes
        priors = proposals[:, :, None].expand(-1, -1, kinds, -1).reshape(n, -1, 4)
        boxes = decode(head.bbox_coder, priors, deltas.reshape(n, -1, 4), image_size)
        boxes = boxes.reshape(n, k, kinds, 4).expand(-1, -1, head.num_classes, -1)
        boxes, scores = boxes.reshape(n, -1, 4), scores.reshape(n, -1)
        labels = torch.arange(head.num_classes).repeat(k)[None].expand(n, -1)
        shrink = (1 / scale_factor).repeat(1, 2)[:, None]
        # As in mmdet: with masks suppression comes before the return to the original.
        if not roi_head.with_mask:
            boxes = boxes * shrink
        boxes, scores, labels = self.suppress(
            boxes, scores, labels, cfg.nms, cfg.max_per_img
        )
        if not roi_head.with_mask:
            return self.table(boxes, scores), labels
        masks = self.masks(features, boxes, labels)
        return self.table(boxes * shrink, scores), labels, masks

    def proposals(
        self, features: Sequence[Tensor], image_size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Boxes (N, K, 4) that may hold objects, and which rows do hold a box (N, K)."""
        head = self.model.rpn_head
        cfg = head.test_cfg
        cls_scores, bbox_preds = head(features)
        priors = head.prior_generator.grid_priors(
            [level.shape[-2:] for level in cls_scores],
            dtype=features[0].dtype,
            device=features[0].device,
        )
        parts = []
        for number, (cls_score, bbox_pred, prior) in enumerate(
            zip(cls_scores, bbox_preds, priors)
        ):
            logits = flatten(cls_score, head.cls_out_channels)
            if head.use_sigmoid_cls:
                scores = logits.sigmoid()
            else:
                scores = logits.softmax(-1)[..., :-1]
            scores, places, _ = self.candidates(scores, cfg.nms_pre, -1.0)
            deltas = take(flatten(bbox_pred, head.bbox_coder.encode_size), places)
            levels = torch.full_like(places, number)
            parts.append((scores, levels, deltas, prior[places]))
        scores, levels, deltas, chosen = (torch.cat(part, 1) for part in zip(*parts))
        boxes = decode(head.bbox_coder, chosen, deltas, image_size)
        scores = drop_small(boxes, scores, cfg.get('min_bbox_size', -1))
        boxes, scores, _ = self.suppress(
            boxes, scores, levels, cfg.nms, cfg.max_per_img
        )
        return boxes, scores > 0

    def masks(
        self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor
    ) -> Tensor:
        """Probabilities on a grid over each box, (N, K, h, w); zeros where there is none."""
        roi_head = self.model.roi_head
        head = roi_head.mask_head
        n, k = labels.shape
        numbers = torch.arange(n)[:, None].expand(-1, k).reshape(-1)
        labels = labels.reshape(-1)
        real = (labels >= 0).nonzero()[:, 0]  # the head is dear: only for real boxes
        pooled = pool(
            roi_head.mask_roi_extractor,
            features,
            boxes.reshape(-1, 4)[real],
            numbers[real],
        )
        logits = head(pooled)
        if not head.class_agnostic:
            height, width = logits.shape[2:]
            index = labels[real][:, None, None, None].expand(-1, 1, height, width)
            logits = logits.gather(1, index)
        found = logits[:, 0].sigmoid()
        masks = found.new_zeros(1, *found.shape[1:]).repeat(n * k, 1, 1)
        masks[real] = found
        return masks.reshape(n, k, *found.shape[1:])


def pool(
    extractor: Any, features: Sequence[Tensor], boxes: Tensor, numbers: Tensor
) -> Tensor:
    """Pool each box from the level that fits its size, as SingleRoIExtractor does.

    Args:
        extractor: mmdet's RoI extractor.
        features: Maps by level, the finest first.
        boxes: (K, 4).
        numbers: Which picture of the batch each is in, (K,).

    Returns:
        (K, C, height, width).
    """
    layers = extractor.roi_layers
    features = features[: len(layers)]
    if len(layers) == 1:
        return roi_align(layers[0], features[0], boxes, numbers)
    rois = torch.cat([numbers[:, None].to(boxes), boxes], dim=1)
    levels = extractor.map_roi_levels(rois, len(layers))
    pooled, places = [], []
    for number, (layer, feature) in enumerate(zip(layers, features)):
        chosen = (levels == number).nonzero()[:, 0]
        pooled.append(roi_align(layer, feature, boxes[chosen], numbers[chosen]))
        places.append(chosen)
    return torch.cat(pooled)[torch.cat(places).sort()[1]]


def graph_of(model: nn.Module, scope: str, raw: bool = False) -> Graph:
    """Choose the graph of a model.

    Args:
        model: The toolbox's model, in evaluation mode.
        scope: ``'mmdet'``, ``'mmseg'`` or ``'mmpretrain'``.
        raw: Without post-processing.

    Raises:
        UserError: If there is none that is known to be right.
    """
    choose = {'mmdet': _detector, 'mmseg': _segmentor, 'mmpretrain': _classifier}
    return choose[scope](model, raw).eval()


def _classifier(model: nn.Module, raw: bool) -> Graph:
    from mmpretrain.models.classifiers import ImageClassifier
    from mmpretrain.models.heads import ClsHead

    same = isinstance(model, ImageClassifier) and _shares(
        model.head, ClsHead, 'predict', '_get_predictions'
    )
    if not same:
        _refuse(model, 'head', 'is no classifier with one label a picture')
    return ClassifierGraph(model, raw)


def _segmentor(model: nn.Module, raw: bool) -> Graph:
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    from mmseg.models.segmentors import EncoderDecoder

    same = type(model) is EncoderDecoder and _shares(
        model.decode_head, BaseDecodeHead, 'predict', 'predict_by_feat'
    )
    if not same:
        _refuse(model, 'decode_head', 'does not go from one head to logits')
    if raw:
        return LogitsGraph(model)
    if model.test_cfg.get('mode', 'whole') != 'whole':
        raise UserError(
            "model.test_cfg.mode = 'slide' cuts a picture into windows, which a graph "
            'cannot: export with --cfg-options model.test_cfg.mode=whole (the numbers '
            'are then those of whole pictures), or --raw and move the window yourself'
        )
    return SegmentorGraph(model)


def _detector(model: nn.Module, raw: bool) -> Graph:
    from mmdet.models.dense_heads import RPNHead, YOLOV3Head
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
    from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
    from mmdet.models.roi_heads import StandardRoIHead
    from mmdet.models.roi_heads.bbox_heads import BBoxHead
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

    if isinstance(model, SingleStageDetector):
        if raw:
            return HeadOutputsGraph(model)
        head = model.bbox_head
        _check_test_cfg('model.test_cfg', head.test_cfg)
        if _shares(head, YOLOV3Head, 'predict', 'predict_by_feat'):
            return YoloGraph(model)
        shared = ('predict', 'predict_by_feat', '_predict_by_feat_single')
        loss = getattr(head, 'loss_cls', None)  # SSD has none
        if _shares(head, BaseDenseHead, *shared, '_bbox_post_process') and not getattr(
            loss, 'custom_cls_channels', False
        ):
            return DenseGraph(model)
        _refuse(model, 'bbox_head', 'post-processes in a way of its own')
    if not isinstance(model, TwoStageDetector):
        _refuse(model, None, 'is neither a single-stage nor a two-stage detector')
    if raw:
        raise UserError(
            '--raw is for single-stage detectors: what comes out of the first stage of '
            f'{type(model).__name__} is of no use without the second'
        )
    head = model.roi_head
    same = (
        _shares(
            model.rpn_head, RPNHead, '_predict_by_feat_single', '_bbox_post_process'
        )
        and type(head) is StandardRoIHead
        and not head.with_shared_head
        and _shares(
            head.bbox_head, BBoxHead, 'predict_by_feat', '_predict_by_feat_single'
        )
        and not head.bbox_head.custom_cls_channels
        and type(head.bbox_roi_extractor) is SingleRoIExtractor
    )
    if same and head.with_mask:
        same = (
            type(head.mask_roi_extractor) is SingleRoIExtractor
            and type(head.mask_head) is FCNMaskHead
        )
    if not same:
        _refuse(model, 'roi_head', 'is not the one of Faster R-CNN or Mask R-CNN')
    _check_test_cfg('model.test_cfg.rpn', model.rpn_head.test_cfg)
    _check_test_cfg('model.test_cfg.rcnn', head.test_cfg, with_pre=False)
    return TwoStageGraph(model)


def _shares(head: nn.Module, base: type, *methods: str) -> bool:
    """Whether a head has these methods from ``base``, unchanged."""
    return isinstance(head, base) and all(
        getattr(type(head), name) is getattr(base, name) for name in methods
    )


def _refuse(model: nn.Module, part: str | None, why: str) -> None:
    name = type(model).__name__
    if part is not None:
        name += f' with {type(getattr(model, part, None)).__name__}'
    raise UserError(
        f'{name} {why}: there is no export of it that is known to be right. Single-stage '
        "detectors of every kind can be exported with --raw, up to the head's outputs"
    )


def _check_test_cfg(path: str, cfg: Any, with_pre: bool = True) -> None:
    nms = cfg.get('nms') or {}
    if nms.get('type', 'nms') != 'nms' or set(nms) - {
        'type', 'iou_threshold', 'iou_thr', 'class_agnostic', 'split_thr'
    }:  # fmt: skip
        raise UserError(
            f'{path}.nms = {dict(nms)}: ONNX knows plain suppression only, '
            "dict(type='nms', iou_threshold=...)"
        )
    least = ('max_per_img', 'nms_pre') if with_pre else ('max_per_img',)
    for name in least:
        if cfg.get(name, -1) <= 0:
            raise UserError(
                f'{path}.{name} = {cfg.get(name)!r}: a graph needs a number of boxes; '
                f'export with --cfg-options {path}.{name}=1000'
            )
