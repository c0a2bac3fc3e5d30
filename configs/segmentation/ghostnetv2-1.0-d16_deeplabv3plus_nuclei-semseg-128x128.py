# A light DeepLabV3+ with GhostNetV2 1.0 at output stride 16 on nuclei, from scratch in
# minutes on the CPU. One process, batch 4, 600 iterations; nothing was tuned.
# Numbers: measured by this project, docs/results.md.
_base_ = [
    '../_base_/models/deeplabv3plus_ghostnetv2.py',
    '../_base_/datasets/nuclei_segmentation.py',
    '../_base_/runtimes/segmentation.py',
]

model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(output_stride=16, init_cfg=None),
    decode_head=dict(
        channels=64,
        dilations=(1, 2, 3),
        c1_channels=24,
        num_classes=2),
    auxiliary_head=None)

max_iters = 600
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.002, weight_decay=0.05),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', eta_min=2e-5, power=0.9, begin=30, end=max_iters, by_epoch=False),
]
auto_scale_lr = dict(enable=False, base_batch_size=4)

randomness = dict(seed=0)
custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=max_iters, save_best=None))
