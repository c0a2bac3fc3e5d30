# A light Mask R-CNN with GhostNetV2 1.0 on nuclei (boxes and masks of cell nuclei, a part
# of the Data Science Bowl 2018, CC0) at 256 px, from scratch on two CPU cores in some ten
# minutes. Up to several hundred nuclei lie in a picture, most of them 10 to 30 px wide:
# anchors are half as large as COCO's, and more objects are kept than there.
# Data: data/nuclei with train.json, val.json (COCO's format) and images.
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
metainfo = dict(classes=('nucleus',))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(256, 256), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=True, min_size=0),
        pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator

max_epochs = 5
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
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
default_hooks = dict(logger=dict(interval=10))
