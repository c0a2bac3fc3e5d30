"""Confusions are counted as one would by hand, and kept as JSON."""

import json

import pytest
import torch
from mmengine.config import Config

from mmghost.engine.confusion import ConfusionMetric, add_confusion, match, table
from mmghost.errors import UserError

A, B, FAR = [0.0, 0, 10, 10], [20.0, 0, 30, 10], [50.0, 50, 60, 60]


def sample(found, truth, crowds=()):
    """A data sample of (box, score, label), (box, label) and boxes of crowds."""

    def boxes(rows):
        return torch.tensor([row[0] for row in rows]).reshape(-1, 4)

    return dict(
        pred_instances=dict(
            bboxes=boxes(found),
            scores=torch.tensor([row[1] for row in found]),
            labels=torch.tensor([row[2] for row in found], dtype=torch.long),
        ),
        gt_instances=dict(
            bboxes=boxes(truth),
            labels=torch.tensor([row[1] for row in truth], dtype=torch.long),
        ),
        ignored_instances=dict(bboxes=torch.tensor(list(crowds)).reshape(-1, 4)),
    )


def count(*samples, tmp_path, classes=('cat', 'dog'), **arguments):
    metric = ConfusionMetric(out=str(tmp_path / 'deep/c.json'), **arguments)
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    values = metric.compute_metrics(metric.results)
    return json.loads((tmp_path / 'deep/c.json').read_text()), values


def test_right_wrong_missed_and_invented_stand_where_they_belong(tmp_path):
    content, values = count(
        sample([(A, 0.9, 0), (B, 0.8, 0), (FAR, 0.7, 1)], [(A, 0), (B, 1)]),
        sample([], [(A, 0)]),
        sample([], []),
        tmp_path=tmp_path,
    )
    assert content['classes'] == ['cat', 'dog', 'background']
    assert content['matrix'] == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert values == dict(precision=pytest.approx(1 / 3), recall=pytest.approx(1 / 3))


def test_each_object_is_found_once_and_the_surest_comes_first():
    pairs = match(
        torch.tensor([A, A]), torch.tensor([0.5, 0.9]), torch.tensor([0, 1]),
        torch.tensor([A]), torch.tensor([1]), None, 0.5,
    )  # fmt: skip
    assert pairs == [(1, 1), (-1, 0)]


def test_a_detection_takes_another_object_where_the_best_is_taken():
    near = [0.0, 0, 10, 8]
    pairs = match(
        torch.tensor([A, A]), torch.tensor([0.9, 0.8]), torch.tensor([0, 0]),
        torch.tensor([A, near]), torch.tensor([0, 1]), None, 0.5,
    )  # fmt: skip
    assert pairs == [(0, 0), (1, 0)]


def test_unsure_detections_and_those_on_crowds_do_not_count(tmp_path):
    content, _ = count(
        sample([(A, 0.2, 0), (B, 0.9, 0)], [(A, 0)], [[15.0, 0, 40, 20]]),
        tmp_path=tmp_path,
    )
    assert content['matrix'] == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize('name', ['score_thr', 'iou_thr'])
def test_thresholds_are_checked(name):
    with pytest.raises(ValueError, match=f'{name} is 1.5'):
        ConfusionMetric(**{name: 1.5})


def test_few_classes_give_a_table_and_many_what_is_confused_most():
    assert 'found as' in table(['cat', 'background'], torch.tensor([[3, 1], [2, 0]]))
    matrix = torch.eye(20, dtype=torch.long) * 9
    matrix[3, 4] = 5
    names = [f'class{i}' for i in range(19)] + ['background']
    assert table(names, matrix).split('\n')[1].strip() == '5  class3 found as class4'


def test_the_metric_is_found_by_its_name_and_joins_the_others():
    from mmengine.registry import METRICS

    cfg = Config(dict(default_scope='mmdet', test_evaluator=dict(type='CocoMetric')))
    add_confusion(cfg, 'c.json')
    assert [evaluator.type for evaluator in cfg.test_evaluator] == [
        'CocoMetric',
        'mmghost.ConfusionMetric',
    ]
    assert isinstance(METRICS.build(cfg.test_evaluator[1]), ConfusionMetric)


@pytest.mark.parametrize(
    ('scope', 'out', 'words'),
    [('mmseg', 'c.json', 'counts boxes'), ('mmdet', 'c.txt', 'must end in .json')],
)
def test_what_cannot_be_counted_is_told_before_the_test(scope, out, words):
    cfg = Config(dict(default_scope=scope, test_evaluator=dict(type='X')))
    with pytest.raises(UserError, match=words):
        add_confusion(cfg, out)
