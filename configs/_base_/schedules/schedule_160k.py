# The 160k of mmseg: 160 000 iterations, SGD with lr 0.01 for 16 images (4 GPUs x 4),
# poly 0.9 to 1e-4. `--auto-scale-lr` scales lr to another batch size.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=160000, by_epoch=False),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005))

auto_scale_lr = dict(enable=False, base_batch_size=16)
