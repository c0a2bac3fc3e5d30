# 30 epochs of AdamW for custom data: lr 5e-4 for 32 images per step, 2 epochs of
# warmup, then cosine to the last epoch. For another number of epochs, at least 3:
# train_cfg = dict(max_epochs=N). `--auto-scale-lr` scales lr to another batch size.
train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=1)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0))

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        begin=2,
        convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=32)
