# The light Mask R-CNN with GhostNetV2 1.0 on cell nuclei (boxes and masks, a part of
# the Data Science Bowl 2018, CC0) at 256 px, from scratch in about half an hour of a CPU
# core. An image has up to several hundred nuclei, most of them 10 to 30 px wide: anchors
# are half as large as for COCO, and more objects are kept. One process, batch 4.
# Data: data/nuclei with train.json, val.json (COCO format) and images.
# Numbers: measured by this project, docs/results.md.
_base_ = [
    '../_base_/models/mask-rcnn_ghostnetv2_light.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/runtimes/detection.py',
]

model = dict(
    backbone=dict(init_cfg=None),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(finest_scale=28),
        mask_roi_extractor=dict(finest_scale=28),
        bbox_head=dict(num_classes=1),
        mask_head=dict(num_classes=1)),
    test_cfg=dict(rcnn=dict(max_per_img=200)))

data_root = 'data/nuclei/'
resize = dict(type='Resize', scale=(256, 256), keep_ratio=True)
flip = dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical'])
train_pipeline = [
    *_base_.train_pipeline[:2], resize, flip, _base_.train_pipeline[-1]]
test_pipeline = [_base_.test_pipeline[0], resize, *_base_.test_pipeline[2:]]
dataset = dict(
    data_root=data_root,
    data_prefix=dict(img='images/'),
    metainfo=dict(classes=('nucleus',)))
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        ann_file='train.json',
        filter_cfg=dict(min_size=0),
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(ann_file='val.json', pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator

max_epochs = 36
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=6)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=4)

custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
default_hooks = dict(
    checkpoint=dict(interval=6, max_keep_ckpts=2), logger=dict(interval=20))
