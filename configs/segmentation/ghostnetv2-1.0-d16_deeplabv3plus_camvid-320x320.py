# The light DeepLabV3+ with GhostNetV2 1.0 at output stride 16 on CamVid, as well as it
# could be trained on one CPU core: larger crops, a wider range of scales, a longer
# schedule, and a loss weighted by class, by the square root of the median frequency over
# the class's own (of the pixels of the images that have it). One process, batch 8.
# Weights to start from: as in ghostnetv2-1.0-d16_deeplabv3plus_camvid-224x224.py.
# Numbers: not trained by this project yet.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_camvid-224x224.py'

model = dict(
    data_preprocessor=dict(size=(320, 320)),
    decode_head=dict(
        loss_decode=dict(
            class_weight=[0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.4, 0.89, 2.53, 2.98],
            avg_non_ignore=True)))

resize = dict(
    type='RandomResize', scale=(480, 360), ratio_range=(0.5, 2.0), keep_ratio=True)
crop = dict(type='RandomCrop', crop_size=(320, 320), cat_max_ratio=0.75, ignore_index=11)
train_pipeline = [*_base_.train_pipeline[:2], resize, crop, *_base_.train_pipeline[4:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=500)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='PolyLR', eta_min=1e-5, power=0.9, begin=100, end=max_iters, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=500))
