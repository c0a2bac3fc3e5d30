# A light DeepLabV3+ with GhostNetV2 1.0 at output stride 16 on CamVid, from scratch on
# one CPU core: the first of several configs that compare backbones, output strides and
# pretraining under the same head, budget and seeds. The loss is weighted by class, by the
# square root of the median frequency over the class's own (of the pixels of the images
# that have it): without, bicyclists and poles are not found in this time. One process,
# batch 4. From a checkpoint of ghostnetv2-1.0_tiny-imagenet-100.py:
#   python tools/train.py THIS_CONFIG --cfg-options \
#       model.backbone.init_cfg._delete_=True model.backbone.init_cfg.type=Pretrained \
#       model.backbone.init_cfg.checkpoint=PATH
# Numbers: measured by this project, docs/results.md.
_base_ = [
    '../_base_/models/deeplabv3plus_ghostnetv2.py',
    '../_base_/datasets/camvid.py',
    '../_base_/runtimes/segmentation.py',
]

model = dict(
    data_preprocessor=dict(size=(224, 224), seg_pad_val=11),
    backbone=dict(output_stride=16, init_cfg=None),
    decode_head=dict(
        channels=128,
        dilations=(1, 3, 6, 9),
        c1_channels=48,
        num_classes=11,
        ignore_index=11,
        loss_decode=dict(
            # The weighted mean leaves void out, and avg_non_ignore fails beside it. mmseg
            # 1.2.2 (the stack openmmlab) knows no void beside weights: None there.
            class_weight=[
                0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.4, 0.89, 2.53, 2.98])),
    auxiliary_head=None)

max_iters = 3000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='PolyLR', eta_min=1e-5, power=0.9, begin=100, end=max_iters, by_epoch=False),
]
auto_scale_lr = dict(enable=False, base_batch_size=4)

randomness = dict(seed=0)
custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=600, max_keep_ckpts=2, save_best=None))
