# GhostNetV1 1.3 on ImageNet-1k, the baseline without DFC attention. Its authors
# published no command for training it, so it gets the recipe of GhostNetV2, which makes
# the two comparable: 8 GPUs x 128 images, 450 epochs, from scratch.
# Numbers: top-1 75.7 in the GhostNet paper; not trained by this project.
_base_ = './ghostnetv2-1.0_8xb128_in1k.py'

model = dict(
    backbone=dict(type='GhostNetV1', widen_factor=1.3), head=dict(in_channels=1248))
