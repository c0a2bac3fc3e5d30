# A proxy for ImageNet that fits two CPU cores: Sign Language Digits (1653 images of 10
# classes) at 96 px, from random weights, 6 epochs of AdamW with one seed. It tells whether
# a choice trains at all and what it costs; differences of a point or two between choices
# are noise, and none of its figures is an ImageNet figure.
#   python -m projects.ablation.ablate 9 --proxy projects/ablation/configs/proxy_sign-digits.py
# Any other classification config serves as a proxy too; of its model, the head's classes,
# loss and topk, data_preprocessor and train_cfg are used.
_base_ = [
    '../../../configs/_base_/models/ghostnetv2_classifier.py',
    '../../../configs/_base_/datasets/sign_digits.py',
    '../../../configs/_base_/schedules/finetune_30e.py',
    '../../../configs/_base_/runtimes/classification.py',
]

model = dict(
    head=dict(
        num_classes=10,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        topk=(1, )))

train_cfg = dict(max_epochs=6)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        begin=1,
        convert_to_iter_based=True),
]

custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
# A sweep continues from the last epoch of the row in which it was stopped.
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None))
randomness = dict(seed=0)
