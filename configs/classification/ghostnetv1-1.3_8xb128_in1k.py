# GhostNetV1 1.3 on ImageNet-1k by the recipe of GhostNetV2, as
# ghostnetv1-1.0_8xb128_in1k.py says: 8 GPUs x 128 images, 450 epochs, from scratch.
# Numbers: top-1 75.7 in the GhostNet paper, 75.50 by MindCV's weights (its README). Not
# trained by this project.
_base_ = './ghostnetv2-1.0_8xb128_in1k.py'

model = dict(
    backbone=dict(type='GhostNetV1', widen_factor=1.3), head=dict(in_channels=1248))
