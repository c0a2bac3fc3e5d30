"""Where read_curves puts what was logged, and what draw_curves says of the rest."""

import json

import pytest

from mmghost.analysis import draw_curves, read_curves
from mmghost.errors import UserError


def log(folder, *entries: dict) -> str:
    path = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, entries)))
    return str(folder)


def losses(*iterations: int, **more: int) -> list[dict]:
    return [dict(loss=1.0, iter=i, step=i, **more) for i in iterations]


def test_a_validation_after_an_epoch_stands_at_its_last_iteration_logged_or_not(
    tmp_path,
):
    # Epochs of 250 iterations, every 45th of which is logged.
    work_dir = log(
        tmp_path,
        *losses(45, 90, 135, 180, 225, epoch=1), dict(mIoU=1.0, step=1),
        *losses(295, 340, 385, 430, 475, epoch=2), dict(mIoU=2.0, step=2),
    )  # fmt: skip
    assert read_curves(work_dir).metrics['mIoU'] == [(250, 1.0), (500, 2.0)]


def test_a_validation_by_iterations_stands_at_its_own_step(tmp_path):
    work_dir = log(tmp_path, *losses(45, 495), dict(mIoU=1.0, step=500))
    assert read_curves(work_dir).metrics['mIoU'] == [(500, 1.0)]


def test_within_one_epoch_a_validation_stands_at_the_last_iteration_logged(tmp_path):
    work_dir = log(tmp_path, *losses(45, 90, epoch=1), dict(mIoU=1.0, step=1))
    assert read_curves(work_dir).metrics['mIoU'] == [(90, 1.0)]


def test_a_metric_that_was_not_logged_is_named_with_those_that_were(tmp_path):
    work_dir = log(tmp_path, *losses(1, 2), {'coco/bbox_mAP': 0.1, 'step': 2})
    words = 'no metric coco/bbox_map was logged; did you mean coco/bbox_mAP'
    with pytest.raises(UserError, match=f'{words}.*; there are: coco/bbox_mAP$'):
        draw_curves(read_curves(work_dir), tmp_path / 'a.png', {'coco/bbox_map': 'AP'})
