"""A config against its data, and what it would fail at after an epoch."""

import pytest
import torch
from mmengine.config import Config

from mmghost.checks import Problem, preflight, raise_if_fatal
from mmghost.errors import UserError

from .data import coco, folders, found, only, segmentation, segmentation_config

WRITERS = {'bbox_head': coco, 'decode_head': segmentation, 'head': folders}


@pytest.mark.parametrize('head', WRITERS)
@pytest.mark.parametrize('count', [1, 80])
def test_a_head_of_another_number_of_classes_is_refused(tmp_path, head, count):
    cfg = WRITERS[head](tmp_path)
    cfg.model[head].num_classes = count
    problem = only(cfg)
    assert problem.where == f'model.{head}.num_classes'
    assert problem.what.startswith(f'is {count}, the dataset has 2 classes (cat, dog)')
    assert problem.what.endswith(f'--cfg-options model.{head}.num_classes=2')


def test_heads_in_a_list_are_named_as_cfg_options_takes_them(tmp_path):
    cfg = coco(tmp_path)
    heads = [dict(num_classes=2), dict(num_classes=80)]
    cfg.model = dict(roi_head=dict(bbox_head=heads), rpn_head=dict(num_classes=1))
    problem = only(cfg)
    assert problem.where == 'model.roi_head.bbox_head[1].num_classes'
    assert problem.what.endswith(' model.roi_head.bbox_head.1.num_classes=2')


NAMES = {
    # task: metric names that are there, and that are not
    'bbox_head': (
        ['coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP_s', 'coco/cat_precision'],
        ['bbox_mAP', 'coco/mAP', 'mAP', 'val/bbox_mAP'],
    ),
    'decode_head': (['mIoU', 'aAcc', 'mDice'], ['val/mIoU', 'IoU', 'mmseg/mIoU']),
    'head': (
        ['accuracy/top1', 'accuracy/top5'],
        ['top1', 'accuracy', 'accuracy_top-1'],
    ),
}


@pytest.mark.parametrize('head', WRITERS)
def test_a_best_checkpoint_by_a_name_that_no_metric_has_is_refused(tmp_path, head):
    cfg = WRITERS[head](tmp_path)
    right, wrong = NAMES[head]
    for name in [*right, 'auto', None, right]:
        cfg.default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_best=name))
        assert found(cfg, data=False) == []
    for name in wrong:
        cfg.default_hooks.checkpoint.save_best = name
        problem = only(cfg, data=False)
        assert problem.where == 'default_hooks.checkpoint.save_best'
        assert f'val_evaluator has no result {name!r}' in problem.what
        assert right[0] in problem.what
        assert found(cfg, ['train'], data=False) == []  # nothing is validated


def test_a_result_name_that_passes_is_one_that_the_metric_gives(tmp_path):
    """The forms of the names, against what mmseg and mmpretrain return."""
    from mmpretrain.evaluation import Accuracy
    from mmseg.evaluation import IoUMetric

    cfg = segmentation(tmp_path)
    metric = IoUMetric(iou_metrics=['mIoU', 'mDice', 'mFscore'])
    metric.dataset_meta = dict(classes=('cat', 'dog'))
    sample = dict(data=torch.tensor([[0, 1]]))
    metric.process({}, [dict(pred_sem_seg=sample, gt_sem_seg=sample)])
    names = metric.evaluate(1)
    assert len(names) == 7
    cfg.default_hooks = dict(
        checkpoint=dict(type='CheckpointHook', save_best=list(names))
    )
    assert found(cfg) == []

    cfg = folders(tmp_path / 'folders')
    metric = Accuracy(topk=(1, 2))
    scores, label = torch.tensor([0.4, 0.6]), torch.tensor([1])
    metric.process({}, [dict(pred_score=scores, gt_label=label)])
    cfg.default_hooks = dict(
        checkpoint=dict(type='CheckpointHook', save_best=list(metric.evaluate(1)))
    )
    assert found(cfg) == []


@pytest.mark.parametrize('classes', [None, 'in train alone'])
def test_an_evaluation_without_class_names_is_refused(tmp_path, classes):
    segmentation(tmp_path)
    cfg = segmentation_config(tmp_path, None)
    if classes:
        cfg.train_dataloader.dataset.metainfo = dict(classes=('cat', 'dog'))
    problem = only(cfg)
    assert problem.where == 'val_dataloader.dataset.metainfo'
    assert 'without which IoUMetric fails' in problem.what


@pytest.mark.parametrize(('end', 'said'), [(1, True), (2, False), (500, False)])
def test_a_warm_up_that_never_ends_is_refused(tmp_path, end, said):
    cfg = folders(tmp_path)
    warm_up = dict(type='LinearLR', start_factor=0.01, begin=0, end=end, by_epoch=False)
    cfg.param_scheduler = [warm_up, dict(type='CosineAnnealingLR', begin=end)]
    assert len(found(cfg)) == said
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    from mmengine.optim import LinearLR

    schedule = LinearLR(optimizer, 0.01, begin=0, end=end, by_epoch=False)
    for _ in range(end + 5):
        optimizer.step()
        schedule.step()
    assert (optimizer.param_groups[0]['lr'] < 0.5) == said


@pytest.mark.parametrize(
    'name',
    ['retinanet_ghostnetv2_coco', 'deeplabv3_ghostnetv2_ade20k', 'ghostnetv2_imagenet'],
)
def test_configs_here_pass(root, name):
    assert found(Config.fromfile(root / f'configs/{name}.py'), data=False) == []


def test_the_data_is_left_alone_where_that_is_asked_for(tmp_path):
    cfg = folders(tmp_path)
    (tmp_path / 'train').rename(tmp_path / 'elsewhere')
    lines: list[str] = []
    assert preflight(cfg, note=lines.append, data=False) == []
    assert lines == ['preflight: the data are not looked at']


def test_all_fatal_problems_are_named_at_once_and_the_others_noted():
    lines: list[str] = []
    problems = [Problem('a', 'is gone - copy it'), Problem('b', 'is odd', fatal=False)]
    with pytest.raises(UserError, match=r'^a: is gone - copy it$'):
        raise_if_fatal(problems, lines.append)
    assert lines == ['preflight: b: is odd']
    with pytest.raises(UserError) as caught:
        raise_if_fatal([*problems, Problem('c', 'is cut')])
    assert (
        str(caught.value)
        == '2 problems to fix first:\n  a: is gone - copy it\n  c: is cut'
    )
    raise_if_fatal(problems[1:])
