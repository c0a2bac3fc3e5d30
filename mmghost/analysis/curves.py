"""Training curves from the log that mmengine writes."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UserError, near

# Names under which the toolboxes log the metric that people look at first.
MAIN_METRICS = ('coco/segm_mAP', 'coco/bbox_mAP', 'mIoU', 'accuracy/top1')


class Curves(NamedTuple):
    """What a training logged.

    Attributes:
        losses: Pairs of iteration and total loss.
        metrics: For each metric, pairs of iteration and value.
    """

    losses: list[tuple[int, float]]
    metrics: dict[str, list[tuple[int, float]]]


def read_curves(work_dir: str | os.PathLike) -> Curves:
    """Read losses and metrics of the last run in a work directory.

    Args:
        work_dir: Where ``tools/train.py`` wrote to.

    Returns:
        The curves. A validation is put at the last iteration trained before it.

    Raises:
        FileNotFoundError: If no run has logged there.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(
            f'{work_dir} holds no */vis_data/scalars.json: no training has logged there'
        )
    entries = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    length = _epoch_length(entries)
    losses, metrics, iteration, epoch = [], {}, 0, 0
    for entry in entries:
        if 'loss' in entry:
            iteration = max(entry.get('iter', 0), entry['step'])
            epoch = entry.get('epoch', 0)
            losses.append((iteration, entry['loss']))
            continue
        # At a validation `step` counts epochs or iterations, of which the last may be
        # unlogged.
        step = entry['step']
        trained = max(iteration, step * length if step <= epoch else step)
        for name, value in entry.items():
            if name not in ('step', 'time', 'data_time') and value == value:
                metrics.setdefault(name, []).append((trained, value))
    return Curves(losses, metrics)


def _epoch_length(entries: list[dict[str, Any]]) -> int:
    """How many iterations an epoch has; 0 where that is not to be seen."""
    first: dict[int, int] = {}  # iteration that an epoch's log begins with
    for entry in entries:
        if 'loss' in entry and 'epoch' in entry:
            first.setdefault(entry['epoch'], entry['step'])
    # Every epoch logs its same iterations, the n-th, the 2n-th and so on.
    lengths = [first[i + 1] - first[i] for i in first if i + 1 in first]
    return lengths[0] if lengths else 0


def draw_curves(
    curves: Curves, out: str | os.PathLike, names: dict[str, str] | None = None
) -> None:
    """Draw loss and metrics over iterations.

    Args:
        curves: See :func:`read_curves`.
        out: The picture to write.
        names: Which metrics to draw, and what to call them; by default the main metric
            of each toolbox, as logged.

    Raises:
        UserError: If one of them was not logged.
        ImportError: If matplotlib is missing.
    """
    # Not pyplot: a library must not choose a backend for the program that uses it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if names is None:
        names = {name: name for name in MAIN_METRICS if name in curves.metrics}
    for name in names:
        if name not in curves.metrics:
            raise UserError(
                f'no metric {name} was logged{near(name, curves.metrics)}; there are: '
                f'{", ".join(sorted(curves.metrics)) or "none"}'
            )
    figure = Figure(figsize=(9, 3.6), layout='constrained')
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(*zip(*curves.losses), color='tab:blue')
    left.set(title='training loss', xlabel='iteration', ylim=(0, None))
    for name, label in names.items():
        right.plot(*zip(*curves.metrics[name]), marker='o', label=label)
    right.set(title='validation', xlabel='iteration', ylim=(0, None))
    right.set_xlim(left.get_xlim())
    if names:
        right.legend(loc='lower right')
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(out, dpi=120)
