# The ImageNet schedule of the release: 450 epochs of RMSprop with TensorFlow's
# arithmetic, lr 0.064 for 1024 images per step, mixed precision, and an average of the
# weights, which is evaluated and saved. Source: the command in the README of
# ghostnetv2_pytorch and the defaults of its train.py, flag by flag in
# docs/training.md.
train_cfg = dict(by_epoch=True, max_epochs=450, val_interval=1)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type='mmghost.AutoAmpOptimWrapper',
    constructor='mmghost.MergedGroupsConstructor',
    optimizer=dict(
        type='mmghost.RMSpropTF',
        lr=0.064,
        alpha=0.9,
        eps=1e-3,
        momentum=0.9,
        weight_decay=1e-5),
    # No weight decay on biases and 1-d parameters (batch norm).
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0))

# Warmup from 1e-6 over 3 epochs, then lr x 0.973 every 2.4 epochs (counted from epoch
# 0), with noise of up to 67 % from 42 % to 90 % of the epochs.
param_scheduler = dict(
    type='mmghost.NoisyStepLR',
    decay_epochs=2.4,
    decay_rate=0.973,
    warmup_epochs=3,
    warmup_value=1e-6,
    noise_range=(0.42, 0.9),
    noise_limit=0.67,
    noise_std=1.0,
    noise_seed=42)

custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='mmghost.TimmEMA',
        momentum=1e-4),  # decay 0.9999
    # Depthwise convolutions are faster in channels-last on GPUs in mixed precision and
    # on CPUs (a training step by 1.3); in 32 bit on GPUs they need not be.
    dict(type='mmghost.ChannelsLastHook'),
]
auto_scale_lr = dict(enable=False, base_batch_size=1024)
