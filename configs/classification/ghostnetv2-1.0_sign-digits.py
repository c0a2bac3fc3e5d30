# GhostNetV2 1.0 on Sign Language Digits, from scratch on a CPU: the fine-tuning config
# without weights, 12 epochs, and an lr for random weights.
# Numbers: measured by this project, docs/results.md.
_base_ = [
    '../_base_/models/ghostnetv2_classifier.py',
    '../_base_/datasets/sign_digits.py',
    '../_base_/schedules/finetune_30e.py',
    '../_base_/runtimes/classification.py',
]

model = dict(
    head=dict(
        num_classes=10,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        topk=(1, )))
train_cfg = dict(max_epochs=12)
optim_wrapper = dict(optimizer=dict(lr=2e-3))

custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=12, save_best=None))
randomness = dict(seed=0)
