"""Networks, data and schedules of the three toolboxes that train in seconds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.utils import ManagerMixin

from mmghost.engine.launch import (
    load_config,
    prepare_test,
    prepare_train,
    run_test,
    run_train,
)

ROOT = Path(__file__).resolve().parents[2]
# Workers of a loader that the garbage collector takes are not told, and waited for: 5 s.
torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.1
CLASSES = (
    'circle', 'crescent', 'cross', 'heart', 'ring', 'square', 'star', 'triangle',
)  # fmt: skip

# GroupNorm: the result does not depend on how a batch is split over processes.
BACKBONE = "dict(type='GhostNetV2', widen_factor=0.25, norm_cfg=dict(type='GN', num_groups=1), out_indices={})"
TRAINING = """
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3)]
auto_scale_lr = dict(enable=False, base_batch_size=2)
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(by_epoch=False, interval=2, save_best=None))
log_processor = dict(by_epoch=False)
"""
LOADERS = """
train_dataloader = dict(
    batch_size=2, num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=False), dataset=train_dataset)
val_dataloader = dict(
    batch_size=4, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False), dataset=val_dataset)
test_dataloader = val_dataloader
"""
DETECTION = """
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[128] * 3, std=[64] * 3, pad_size_divisor=32),
    backbone={backbone},
    neck=dict(
        type='FPN', in_channels=[12, 28, 40], out_channels=16, num_outs=3),
    bbox_head=dict(
        type='RetinaHead', num_classes=8, in_channels=16, feat_channels=16,
        stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1,
            ratios=[1.0], strides=[8, 16, 32]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[1.] * 4),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25),
        loss_bbox=dict(type='L1Loss')),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0),
        sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1,
        debug=False),
    test_cfg=dict(
        nms_pre=100, min_bbox_size=0, score_thr=0.0,
        nms=dict(type='nms', iou_threshold=0.5), max_per_img=10))
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
data = dict(
    type='CocoDataset', data_root={root!r} + '/coco', metainfo=dict(classes={classes}),
    pipeline=pipeline)
train_dataset = dict(
    ann_file='annotations/instances_train2017.json',
    data_prefix=dict(img='train2017'), **data)
val_dataset = dict(
    ann_file='annotations/instances_val2017.json',
    data_prefix=dict(img='val2017'), test_mode=True, **data)
val_evaluator = dict(
    type='CocoMetric', metric='bbox',
    ann_file={root!r} + '/coco/annotations/instances_val2017.json')
test_evaluator = val_evaluator
"""
SEGMENTATION = """
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[128] * 3, std=[64] * 3, size=(96, 96),
        pad_val=0, seg_pad_val=255),
    backbone={backbone},
    decode_head=dict(
        type='FCNHead', in_channels=40, in_index=-1, channels=16, num_convs=1,
        concat_input=False, num_classes=8, dropout_ratio=0,
        norm_cfg=dict(type='GN', num_groups=1), align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True), dict(type='PackSegInputs')]
data = dict(
    type='BaseSegDataset', data_root={root!r} + '/ade/ADEChallengeData2016',
    metainfo=dict(classes={classes}, palette=[[i, 9 * i, 31 * i] for i in range(8)]),
    reduce_zero_label=True, pipeline=pipeline)
train_dataset = dict(
    data_prefix=dict(
        img_path='images/training', seg_map_path='annotations/training'), **data)
val_dataset = dict(
    data_prefix=dict(
        img_path='images/validation', seg_map_path='annotations/validation'), **data)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (1.0, 1.5)],
        [dict(type='RandomFlip', prob=p, direction='horizontal') for p in (0., 1.)],
        [dict(type='LoadAnnotations', reduce_zero_label=True)],
        [dict(type='PackSegInputs')]])]
"""
CLASSIFICATION = """
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[128] * 3, std=[64] * 3, num_classes=8),
    backbone={backbone},
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=8, in_channels=40,
        loss=dict(type='CrossEntropyLoss'), topk=(1,)))
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=64),
    dict(type='PackInputs')]
train_dataset = dict(
    type='CustomDataset', data_root={root!r} + '/imagenet', data_prefix='train',
    pipeline=pipeline)
val_dataset = dict(
    type='CustomDataset', data_root={root!r} + '/imagenet', data_prefix='val',
    pipeline=pipeline)
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
"""
TASKS = {
    'detection': (DETECTION, '(2, 3, 4)'),
    'segmentation': (SEGMENTATION, '(4,)'),
    'classification': (CLASSIFICATION, '(4,)'),
}
# For what is alike in all three: the other two are slow.
MAINLY_ONE_TASK = [
    'classification',
    pytest.param('segmentation', marks=pytest.mark.slow),
    pytest.param('detection', marks=pytest.mark.slow),
]


def write_config(folder: Path, task: str, data: Path, more: str = '') -> str:
    """Write a config that trains four iterations on the Shapes below ``data``.

    Args:
        folder: Where the config goes; its work_dir is ``folder / 'work'``.
        task: detection, segmentation or classification.
        data: Folder of :func:`~mmghost.datasets.shapes.make_shapes`.
        more: Lines of config to add.

    Returns:
        The config's path.
    """
    text, indices = TASKS[task]
    text = text.format(
        backbone=BACKBONE.format(indices), root=str(data), classes=CLASSES
    )
    base = ROOT / 'configs' / '_base_' / 'runtimes' / f'{task}.py'
    path = folder / f'{task}_{len(list(folder.glob("*.py")))}.py'
    path.write_text(
        f'_base_ = {str(base)!r}\nwork_dir = {str(folder / "work")!r}\n'
        f'{text}{LOADERS}{TRAINING}{more}\n'
    )
    return str(path)


def train(path: str, options: dict | None = None, **flags: Any) -> Config:
    """Train as tools/train.py does; return the config."""
    cfg = prepare_train(load_config(path, options), **flags)
    run_train(cfg)
    return cfg


def evaluate(
    path: str, checkpoint: Path, options: dict | None = None, **flags: Any
) -> dict[str, float]:
    """Evaluate as tools/test.py does; return the metrics."""
    return run_test(prepare_test(load_config(path, options), str(checkpoint), **flags))


def state(path: Path, key: str = 'state_dict') -> Any:
    """Return a part of a checkpoint."""
    return torch.load(path, weights_only=False)[key]


def logged(work_dir: Path) -> str:
    """Return the text of all logs."""
    return '\n'.join(path.read_text() for path in sorted(work_dir.rglob('*.log')))


def forget_runners() -> None:
    """Forget loggers, visualizers and default scopes that runners leave behind."""
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            handler.close()
    managers = [ManagerMixin]
    for cls in managers:
        managers += cls.__subclasses__()
        cls._instance_dict.clear()
