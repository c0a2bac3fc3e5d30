"""Networks of plain operators, for one image of one size: for ncnn, LiteRT, ExecuTorch.

What these runtimes do not have is left to :mod:`.runtime.decoding`: NMS of detectors, and
resizing the logits of segmentors to the image.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from ..models.ghostnet import GhostNet
from .graphs import (
    Axes,
    ClassifierGraph,
    DenseGraph,
    Graph,
    SegmentorGraph,
    clips,
    iou_threshold,
)


class PortableGraph(nn.Module):
    """A graph without postprocessing, for one image of one size.

    Args:
        graph: The graph with postprocessing.
        size: Height and width.

    Attributes:
        task: Of the graph.
        inputs: The image alone.
        outputs: Names of what ``forward`` returns, without free axes.
        decoding: What the runtime needs to know for the postprocessing.

    Raises:
        UserError: If the runtime does not have the postprocessing of the model.
    """

    inputs: Axes = {'image': {}}

    def __init__(self, graph: Graph, size: tuple[int, int]) -> None:
        super().__init__()
        # Not the model as well: pnnx gives up on modules with two names.
        self.source, self.task = graph, graph.task
        self.decoding: dict[str, Any] | None = None
        if isinstance(graph, ClassifierGraph):
            names = ('scores',)
        elif isinstance(graph, SegmentorGraph):
            if graph.model.align_corners:
                raise UserError(
                    'model.decode_head.align_corners=True: such segmentors are exported '
                    'to onnx and openvino only, without --raw'
                )
            names = ('logits',)
            self.decoding = dict(threshold=graph.model.decode_head.threshold)
        elif isinstance(graph, DenseGraph):
            names = self._prepare_detector(graph, size)
        else:
            raise UserError(
                f'{type(graph.model).__name__}: two-stage detectors are exported to onnx '
                'and openvino only, without --raw'
            )
        self.outputs: Axes = {name: {} for name in names}

    def _prepare_detector(
        self, graph: DenseGraph, size: tuple[int, int]
    ) -> tuple[str, ...]:
        head = graph.model.bbox_head
        fix_priors(head.prior_generator)
        with torch.no_grad():
            levels = graph.levels(torch.zeros(1, 3, *size))
        cfg = head.test_cfg
        self.decoding = dict(
            levels=[scores.shape[1] for scores, *_ in levels],
            clip=clips(head),
            nms_pre=cfg.nms_pre,
            conf_thr=cfg.get('conf_thr', -1),
            score_thr=max(cfg.get('score_thr', 0), 0),
            min_bbox_size=cfg.get('min_bbox_size', -1),
            iou_threshold=iou_threshold(cfg.nms),
            class_agnostic=bool(cfg.nms.get('class_agnostic', False)),
            max_per_img=cfg.max_per_img,
        )
        return ('scores', 'boxes', 'factors')[: 2 if levels[0][1] is None else 3]

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


def fix_priors(generator: Any) -> None:
    """Let a prior generator return its first priors ever after, as constants."""
    generate, known = generator.grid_priors, []

    def grid_priors(*args: Any, **kwargs: Any) -> list[Tensor]:
        if not known:
            known.append(generate(*args, **kwargs))
        return known[0]

    generator.grid_priors = grid_priors


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


def split_channels(x: Tensor, count: int) -> list[Tensor]:
    """Split (N, count * C, H, W) by slices: LiteRT's converter fails on ``chunk``."""
    size = int(x.shape[1]) // count
    return [x[:, i * size : (i + 1) * size] for i in range(count)]


class SplitBranches(nn.Module):
    """:class:`~mmghost.models.atrous.SplitPhases` with the phases in the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, C, H, W) to (1, 4 * C, ceil(H / 2), ceil(W / 2))."""
        height, width = (int(side) for side in x.shape[2:])
        if height % 2:
            x = torch.cat([x, x[:, :, -1:]], dim=2)
        if width % 2:
            x = torch.cat([x, x[..., -1:]], dim=3)
        # Pooling of one pixel: ncnn has no slices with a step.
        starts = ((i, j) for i in (0, 1) for j in (0, 1))
        return torch.cat([F.max_pool2d(x[:, :, i:, j:], 1, 2) for i, j in starts], 1)


class MergeBranches(nn.Module):
    """Undo :class:`SplitBranches`."""

    def __init__(self) -> None:
        super().__init__()
        self.shuffle = nn.ChannelShuffle(4)  # as a module: pnnx knows it

    def forward(self, x: Tensor, size: tuple[int, int], splits: int) -> Tensor:
        """Map (1, 4 ** splits * C, H', W') to (1, C, H, W)."""
        for split in reversed(range(splits)):
            height, width = (-(-int(side) // 2**split) for side in size)
            parts = [
                F.pixel_shuffle(self.shuffle(part), 2)[:, :, :height, :width]
                for part in split_channels(x, 4**split)
            ]
            x = torch.cat(parts, dim=1)
        return x


class Branches(nn.Module):
    """Run a layer on each phase.

    Args:
        layer: The layer.
        count: Number of phases.
    """

    def __init__(self, layer: nn.Module, count: int) -> None:
        super().__init__()
        self.layer, self.count = layer, count

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, count * C, H, W) to (1, count * C', H', W')."""
        return torch.cat(
            [self.layer(part) for part in split_channels(x, self.count)], 1
        )


def use_branches(net: GhostNet) -> None:
    """Run a branch for each phase of a GhostNet of output stride 8 or 16, in place.

    Phases in the batch break ncnn, which has no batch; branches are the same numbers.
    """
    net.merge = MergeBranches()
    before = 0  # how often the input of a group is split
    for i, (_, splits) in enumerate(net.levels):
        if splits > before:  # by the only bottleneck of the group
            block = net.blocks[i][0]
            block.split = SplitBranches()
            block.ghost2 = Branches(nn.Sequential(block.se, block.ghost2), 4)
            block.se = nn.Identity()
        if before:
            net.blocks[i] = Branches(net.blocks[i], 4**before)
        before = splits
