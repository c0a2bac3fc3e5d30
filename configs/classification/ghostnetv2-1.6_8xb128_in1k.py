# GhostNetV2 1.6 on ImageNet-1k by the authors' recipe: 8 GPUs x 128 pictures, 450 epochs,
# from random weights.
# Numbers: the authors report top-1 77.8 (ck_ghostnetv2_16.pth.tar; timm measured
# 77.84 / 93.95 with it); not trained by this project.
_base_ = './ghostnetv2-1.0_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=1.6), head=dict(in_channels=1536))
