# The light RetinaNet with GhostNetV2 1.0 on BCCD (blood cells, boxes, 640x480 px:
# https://github.com/Shenggan/BCCD_Dataset, MIT) at 320 px, from scratch on two CPU
# cores. It is compared with retinanet_timm-ghostnetv2-1.0_bccd-320.py. One process,
# batch 8.
# Data: data/bccd with train.json, val.json (COCO format) and images.
# Numbers: measured by this project, docs/results.md.
_base_ = './retinanet_ghostnetv2-1.0_shapes.py'

model = dict(bbox_head=dict(num_classes=3))

data_root = 'data/bccd/'
resize = dict(type='Resize', scale=(320, 320), keep_ratio=True)
train_pipeline = [*_base_.train_pipeline[:2], resize, *_base_.train_pipeline[3:]]
test_pipeline = [_base_.test_pipeline[0], resize, *_base_.test_pipeline[2:]]
dataset = dict(
    data_root=data_root,
    data_prefix=dict(img='images/'),
    metainfo=dict(classes=('RBC', 'WBC', 'Platelets')))
train_dataloader = dict(
    dataset=dict(ann_file='train.json', pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    dataset=dict(ann_file='val.json', pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator

max_epochs = 40
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
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
default_hooks = dict(checkpoint=dict(interval=4, max_keep_ckpts=2))
