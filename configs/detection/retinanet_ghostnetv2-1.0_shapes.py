# The light RetinaNet on Shapes, from scratch in minutes on two CPU cores: what `make
# demo` trains. Its three levels (strides 8, 16 and 32) cover every size of shape at 128
# px. One process, batch 8.
# Numbers: `make demo` reports AP 0.62 (docs/results.md).
_base_ = [
    '../_base_/models/retinanet_ghostnetv2_light.py',
    '../_base_/datasets/shapes_detection.py',
    '../_base_/runtimes/detection.py',
]

model = dict(backbone=dict(init_cfg=None), bbox_head=dict(num_classes=6))

max_epochs = 4
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.002, weight_decay=0.05),
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
auto_scale_lr = dict(enable=False, base_batch_size=8)

custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
default_hooks = dict(logger=dict(interval=20))
