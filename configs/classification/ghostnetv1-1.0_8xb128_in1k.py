# GhostNetV1 1.0 on ImageNet-1k, the baseline without DFC attention, by the recipe of
# GhostNetV2, so that only the network differs: 8 GPUs x 128 images, 450 epochs, from
# scratch. The PyTorch release has no command for training V1. The recipe of Huawei's
# MindSpore zoo is another: 500 epochs, 8 x 128, momentum 0.9, cosine from 0.4 after 20
# epochs of warmup, weight decay 4e-5, label smoothing 0.1.
# Numbers: top-1 73.9 in the GhostNet paper, 73.94 by the MindSpore recipe (its README),
# 73.78 by MindCV's weights (its README). Not trained by this project.
_base_ = './ghostnetv2-1.0_8xb128_in1k.py'

model = dict(
    backbone=dict(type='GhostNetV1', widen_factor=1.0), head=dict(in_channels=960))
