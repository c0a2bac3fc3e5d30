"""Which classes a detector takes for which: counted picture by picture, kept as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from ..errors import UserError
from ..registry import METRICS, register
from ..checks.toolbox import toolbox_of

BACKGROUND = 'background'


@register(METRICS)
class ConfusionMetric(BaseMetric):
    """Count what the objects of each class are found as, for mmdet.

    Detections above a score are matched with the objects of their picture, the surest
    first, each with the free object that it overlaps most, whatever the classes are. An
    object that nothing is matched with was found as background (missed); a detection
    without an object is background that was found as something. Crowds are left out, and
    so are detections that lie on them.

    Args:
        out: The JSON file to write: the classes with ``background`` last, and ``matrix``
            whose row ``i`` says what the objects of class ``i`` were found as.
        score_thr: Detections below it do not count.
        iou_thr: Overlap from which a detection is of an object.
        collect_device: Where results of several processes are gathered.
        prefix: Of the metrics' names.
    """

    default_prefix = 'confusion'

    def __init__(
        self,
        out: str | None = None,
        score_thr: float = 0.3,
        iou_thr: float = 0.5,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        for name, value in (('score_thr', score_thr), ('iou_thr', iou_thr)):
            if not 0 <= value < 1:
                raise ValueError(f'{name} is {value}; it goes from 0 to below 1')
        self.out = out
        self.score_thr = score_thr
        self.iou_thr = iou_thr

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the detections of a batch; see :class:`BaseMetric`."""
        for sample in data_samples:
            found, truth = sample['pred_instances'], sample['gt_instances']
            crowds = sample.get('ignored_instances', {}).get('bboxes')
            sure = found['scores'] >= self.score_thr
            self.results.append(
                match(
                    as_boxes(found['bboxes'])[sure],
                    found['scores'][sure],
                    found['labels'][sure],
                    as_boxes(truth['bboxes']),
                    truth['labels'],
                    None if crowds is None else as_boxes(crowds),
                    self.iou_thr,
                )
            )

    def compute_metrics(self, results: list[list[tuple[int, int]]]) -> dict[str, float]:
        """Sum up, write the JSON and print the table.

        Returns:
            ``precision`` and ``recall`` over all objects at the two thresholds.
        """
        classes = list((self.dataset_meta or {}).get('classes', ()))
        size = len(classes) + 1
        matrix = torch.zeros(size, size, dtype=torch.long)
        for pairs in results:
            for truth, found in pairs:
                matrix[truth, found] += 1  # -1 is the last: background
        names = [*classes, BACKGROUND]
        right = int(matrix.diagonal()[:-1].sum())
        content = dict(
            classes=names,
            score_thr=self.score_thr,
            iou_thr=self.iou_thr,
            rows='objects of a class',
            columns='what they were found as',
            matrix=matrix.tolist(),
        )
        if self.out is not None:
            path = Path(self.out)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=1), encoding='utf-8')
            print_log(f'confusion of classes: {path}', 'current')
        print_log('\n' + table(names, matrix), 'current')
        return dict(
            precision=right / max(1, int(matrix[:, :-1].sum())),
            recall=right / max(1, int(matrix[:-1].sum())),
        )


def add_confusion(cfg: Config, out: str) -> None:
    """Have a test count confusions as well, in place.

    Args:
        cfg: The config of a detector.
        out: The JSON file to write.

    Raises:
        UserError: If it is no detector's.
    """
    if toolbox_of(cfg).scope != 'mmdet':
        raise UserError(
            f'--confusion counts boxes; {cfg.filename} is of {cfg.default_scope}, which '
            'has ConfusionMatrix metrics of its own'
        )
    if not out.endswith('.json'):
        raise UserError(f'--confusion {out}: the file must end in .json')
    evaluators = cfg.test_evaluator
    evaluators = [evaluators] if isinstance(evaluators, dict) else list(evaluators)
    cfg.test_evaluator = [*evaluators, dict(type='mmghost.ConfusionMetric', out=out)]


def as_boxes(boxes: Any) -> Tensor:
    """Corners (N, 4) of what a data sample holds: a tensor, or mmdet's box type."""
    return boxes if isinstance(boxes, Tensor) else boxes.tensor


def match(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    objects: Tensor,
    classes: Tensor,
    crowds: Tensor | None,
    iou_thr: float,
) -> list[tuple[int, int]]:
    """Match the detections of a picture with its objects.

    Args:
        boxes: Corners of the detections, (N, 4).
        scores: How sure they are, (N,).
        labels: Their classes, (N,).
        objects: Corners of the objects, (M, 4).
        classes: Their classes, (M,).
        crowds: Corners of groups that count neither way, (K, 4).
        iou_thr: Overlap from which a detection is of an object.

    Returns:
        Class of the object and class found, for each object and for each detection
        without one; -1 is the background.
    """
    from torchvision.ops import box_iou

    objects = objects.to(boxes)
    overlaps = box_iou(boxes, objects) if len(boxes) and len(objects) else None
    pairs, taken = [], set()
    for i in scores.argsort(descending=True).tolist():
        best = -1
        if overlaps is not None:
            for j in overlaps[i].argsort(descending=True).tolist():
                if overlaps[i, j] < iou_thr:
                    break
                if j not in taken:
                    best = j
                    break
        if best >= 0:
            taken.add(best)
            pairs.append((int(classes[best]), int(labels[i])))
        elif not _on_a_crowd(boxes[i], crowds, iou_thr):
            pairs.append((-1, int(labels[i])))
    missed = set(range(len(objects))) - taken
    return pairs + [(int(classes[j]), -1) for j in sorted(missed)]


def _on_a_crowd(box: Tensor, crowds: Tensor | None, iou_thr: float) -> bool:
    """Whether a detection lies on a crowd by at least a share of its own area."""
    if crowds is None or not len(crowds):
        return False
    crowds = crowds.to(box)
    corner = torch.maximum(box[:2], crowds[:, :2])
    inner = (torch.minimum(box[2:], crowds[:, 2:]) - corner).clamp(min=0).prod(1)
    return bool((inner >= iou_thr * (box[2:] - box[:2]).prod()).any())


def table(names: Sequence[str], matrix: Tensor) -> str:
    """Draw a matrix for the terminal: what is confused most, for many classes."""
    if len(names) <= 11:
        width = max(map(len, names))
        head = ' ' * (width + 2) + '  '.join(f'{name[:12]:>12}' for name in names)
        rows = [
            f'{name:>{width}}  ' + '  '.join(f'{count:>12}' for count in row)
            for name, row in zip(names, matrix.tolist())
        ]
        return '\n'.join(['found as:', head, *rows])
    wrong = matrix.clone()
    wrong.fill_diagonal_(0)
    wrong[-1] = wrong[:, -1] = 0
    counts, places = wrong.flatten().topk(10)
    lines = [
        f'{count:>8}  {names[place // len(names)]} found as {names[place % len(names)]}'
        for count, place in zip(counts.tolist(), places.tolist())
        if count
    ]
    return '\n'.join(['most confused:', *lines])
