# The 80k of mmseg: 80 000 iterations, lr for 8 images (4 GPUs x 2), else as in the
# 160k.
_base_ = './schedule_160k.py'
train_cfg = dict(max_iters=80000, val_interval=8000)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=80000, by_epoch=False),
]
auto_scale_lr = dict(base_batch_size=8)
