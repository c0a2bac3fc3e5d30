# GhostNetV2 1.0 on ImageNet-1k with one GPU: 8 batches of 128 images add up to the 1024
# per step of ghostnetv2-1.0_8xb128_in1k.py, with the same lr. As on 8 GPUs, batch norm
# sees 128 images at a time; its running statistics move with every batch, 8 times as
# often.
#   python tools/train.py configs/classification/ghostnetv2-1.0_1xb128-accum8_in1k.py
# Numbers: none; not trained by this project.
_base_ = './ghostnetv2-1.0_8xb128_in1k.py'

accumulate = 8
optim_wrapper = dict(accumulative_counts=accumulate)
# The average is updated once per optimizer step.
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='mmghost.TimmEMA',
        momentum=1e-4,
        interval=accumulate),
    dict(type='mmghost.ChannelsLastHook'),
]
# --auto-scale-lr counts the images of an iteration, not those of a step.
auto_scale_lr = dict(base_batch_size=1024 // accumulate)
