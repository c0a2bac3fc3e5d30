# GhostNetV2 1.3 on ImageNet-1k by the authors' recipe: 8 GPUs x 128 pictures, 450 epochs,
# from random weights.
# Numbers: the authors report top-1 76.9 (ck_ghostnetv2_13.pth.tar; timm measured
# 76.75 / 93.36 with it); not trained by this project.
_base_ = './ghostnetv2-1.0_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=1.3), head=dict(in_channels=1248))
