# GhostNetV2 1.0 on 100 classes of Tiny ImageNet at 64 px, from scratch on one CPU core:
# the pretraining of a small chain of trainings, where ImageNet cannot be had. 128 images
# per step, 20 epochs, the same recipe for each of the four networks. A network of this
# config knows 64 px images; it is no substitute for the release's weights.
#   OMP_NUM_THREADS=1 python tools/train.py \
#       configs/classification/ghostnetv2-1.0_tiny-imagenet-100.py
# Numbers: measured by this project, docs/results.md.
_base_ = [
    '../_base_/models/ghostnetv2_classifier.py',
    '../_base_/datasets/tiny_imagenet_100.py',
    '../_base_/schedules/finetune_30e.py',
    '../_base_/runtimes/classification.py',
]

model = dict(
    head=dict(
        num_classes=100,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)))
train_cfg = dict(max_epochs=20)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
auto_scale_lr = dict(base_batch_size=128)

custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2, save_best=None))
randomness = dict(seed=0)
