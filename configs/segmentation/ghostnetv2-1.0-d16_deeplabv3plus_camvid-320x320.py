# The light DeepLabV3+ with GhostNetV2 1.0 at output stride 16 on CamVid, for a better
# figure than that of the comparison: larger crops, a wider range of scales, twice the
# steps, and the square roots of its class weights. One process, batch 4.
# Weights to start from: as in ghostnetv2-1.0-d16_deeplabv3plus_camvid-224x224.py.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_camvid-224x224.py'

model = dict(
    data_preprocessor=dict(size=(320, 320)),
    decode_head=dict(
        loss_decode=dict(
            class_weight=[
                0.73, 0.67, 1.48, 0.62, 1.0, 0.81, 1.4, 1.18, 0.94, 1.59, 1.73])))

resize = dict(
    type='RandomResize', scale=(480, 360), ratio_range=(0.5, 2.0), keep_ratio=True)
crop = dict(type='RandomCrop', crop_size=(320, 320), cat_max_ratio=0.75, ignore_index=11)
train_pipeline = [*_base_.train_pipeline[:2], resize, crop, *_base_.train_pipeline[4:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

max_iters = 6000
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='PolyLR', eta_min=1e-5, power=0.9, begin=100, end=max_iters, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=1000))
