"""Networks for ncnn, LiteRT and ExecuTorch: one image of one size, plain operators.

What these runtimes do not have is left to :mod:`.runtime.decoding`: NMS of detectors, and
resizing the logits of segmentors to the image.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from ..models.atrous import SplitPhases
from ..models.ghostnet import GhostNet
from .graphs import ClassifierGraph, DenseGraph, Graph, SegmentorGraph, clips


class PortableGraph(nn.Module):
    """A graph without postprocessing, for one image of one size.

    Args:
        graph: The graph with postprocessing.
        size: Height and width.

    Attributes:
        task: Of the graph.
        outputs: Names of what ``forward`` returns.
        decoding: What the runtime needs to know for the postprocessing.

    Raises:
        UserError: If the runtime does not have the postprocessing of the model.
    """

    def __init__(self, graph: Graph, size: tuple[int, int]) -> None:
        super().__init__()
        # Not the model as well: pnnx gives up on modules with two names.
        self.source, self.task = graph, graph.task
        self.decoding: dict[str, Any] | None = None
        if isinstance(graph, ClassifierGraph):
            self.outputs = ('scores',)
        elif isinstance(graph, SegmentorGraph):
            if graph.model.align_corners:
                raise UserError(
                    'model.decode_head.align_corners=True: such segmentors are exported '
                    'to onnx and openvino only'
                )
            self.outputs = ('logits',)
            self.decoding = dict(threshold=graph.model.decode_head.threshold)
        elif isinstance(graph, DenseGraph):
            self._prepare_detector(graph, size)
        else:
            raise UserError(
                f'{type(graph.model).__name__}: two-stage detectors are exported to onnx '
                'and openvino only'
            )

    def _prepare_detector(self, graph: DenseGraph, size: tuple[int, int]) -> None:
        head = graph.model.bbox_head
        head.prior_generator = FixedPriors(head.prior_generator)
        with torch.no_grad():
            levels = graph.levels(torch.zeros(1, 3, *size))
        self.outputs = ('scores', 'boxes')
        if levels[0][1] is not None:
            self.outputs = ('scores', 'boxes', 'factors')
        cfg = head.test_cfg
        self.decoding = dict(
            levels=[scores.shape[1] for scores, *_ in levels],
            clip=clips(head),
            nms_pre=cfg.nms_pre,
            conf_thr=cfg.get('conf_thr', -1),
            score_thr=max(cfg.get('score_thr', 0), 0),
            min_bbox_size=cfg.get('min_bbox_size', -1),
            iou_threshold=float(cfg.nms.get('iou_threshold', cfg.nms.get('iou_thr'))),
            class_agnostic=bool(cfg.nms.get('class_agnostic', False)),
            max_per_img=cfg.max_per_img,
        )

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map (1, 3, H, W) to ``outputs``: of detectors all priors, (1, P, ...)."""
        if self.task == 'classification':
            return self.source(image)
        if self.task == 'segmentation':
            model = self.source.model
            return model.decode_head(model.extract_feat(image))
        scores, factors, boxes = zip(*self.source.levels(image))
        found = [torch.cat(scores, 1), torch.cat(boxes, 1)]
        if factors[0] is not None:
            found.append(torch.cat(factors, 1))
        return tuple(found)


class FixedPriors:
    """The priors of one size, computed once, so that the graph has them as constants.

    Args:
        generator: mmdet's prior generator.
    """

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.priors: list[Tensor] | None = None

    def grid_priors(self, sizes: Sequence[Any], **kwargs: Any) -> list[Tensor]:
        """Return the priors of each level."""
        if self.priors is None:
            self.priors = self.generator.grid_priors(sizes, **kwargs)
        return self.priors


@contextmanager
def exact_nearest() -> Iterator[None]:
    """Trace nearest-neighbor resizing as operators that all runtimes compute alike.

    LiteRT's converter resizes with half-pixel centers: from 3 to 7 px, as in the DFC
    attention at 224 px, it takes other rows than torch. Twice as large is the same
    everywhere; if the new side is odd, torch takes the first row or column once more.
    """
    with patch.object(F, 'interpolate', _interpolate):
        yield


_torch_interpolate = F.interpolate


def _interpolate(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Replace ``F.interpolate`` where it goes from h to 2h or 2h + 1 px."""
    out = _torch_interpolate(x, *args, **kwargs)
    height, width = (int(side) for side in out.shape[2:])
    double = (height // 2, width // 2) == tuple(int(side) for side in x.shape[2:])
    if kwargs.get('mode') != 'nearest' or not double:
        return out
    x = _torch_interpolate(x, scale_factor=2.0, mode='nearest')
    if height % 2:
        x = torch.cat([x[:, :, :1], x], dim=2)
    return torch.cat([x[..., :1], x], dim=3) if width % 2 else x


class Phase(nn.Module):
    """One of the four phases of a map, see :class:`~mmghost.models.atrous.SplitPhases`."""

    def __init__(self) -> None:
        super().__init__()
        self.row = self.column = 0

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
        height, width = (int(side) for side in x.shape[2:])
        if height % 2:
            x = torch.cat([x, x[:, :, -1:]], dim=2)
        if width % 2:
            x = torch.cat([x, x[..., -1:]], dim=3)
        # Pooling of one pixel: ncnn has no slices with a step.
        return F.max_pool2d(x[:, :, self.row :, self.column :], 1, 2)


class Once(nn.Module):
    """A layer that is computed once for each input, not once for each phase."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.last: tuple[Tensor | None, Tensor | None] = None, None

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer, or return what it gave for the same tensor."""
        if self.last[0] is not x:
            self.last = x, self.layer(x)
        return self.last[1]


class BranchedGhostNet(nn.Module):
    """A GhostNet of output stride 8 or 16 with a branch for each phase.

    Phases in the batch break ncnn, which has no batch; branches are the same numbers.

    Args:
        net: The backbone; it is changed.
    """

    def __init__(self, net: GhostNet) -> None:
        super().__init__()
        self.net = net
        self.shuffle = nn.ChannelShuffle(4)  # as a module: pnnx knows it
        for block in net.modules():
            if isinstance(getattr(block, 'split', None), SplitPhases):
                block.split = Phase()
                for name in ('ghost1', 'conv_dw', 'bn_dw', 'shortcut'):
                    setattr(block, name, Once(getattr(block, name)))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps of :class:`GhostNet`."""
        net = self.net
        branches = [net.act1(net.bn1(net.conv_stem(x)))]
        sizes, outs = [], {}
        for group, (stage, _) in zip(net.blocks, net.levels):
            for block in group:
                if isinstance(getattr(block, 'split', None), Phase):
                    sizes.append(branches[0].shape[2:])
                branches = [out for x in branches for out in all_phases(block, x)]
            if stage in net.out_indices:
                outs[stage] = self.merge(branches, sizes)
        return tuple(outs.values())

    def merge(self, branches: list[Tensor], sizes: list[Sequence[int]]) -> Tensor:
        """Return the dense map of branches that were split at maps of these sizes."""
        for height, width in reversed(sizes):
            branches = [
                F.pixel_shuffle(self.shuffle(torch.cat(four, 1)), 2)[
                    :, :, : int(height), : int(width)
                ]
                for four in zip(*(branches[i::4] for i in range(4)))
            ]
        return branches[0]


def all_phases(block: nn.Module, x: Tensor) -> list[Tensor]:
    """Return what a bottleneck computes: one map, or one for each phase."""
    split = getattr(block, 'split', None)
    if not isinstance(split, Phase):
        return [block(x)]
    found = []
    for split.row, split.column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        found.append(block(x))
    return found
