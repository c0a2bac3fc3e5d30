# GhostNetV2 1.3 on ImageNet-1k by the recipe of the release: 8 GPUs x 128 images, 450
# epochs, from scratch.
# Numbers: top-1 76.9 in the release; timm measured 76.75 / 93.36 with its weights
# (ck_ghostnetv2_13.pth.tar). Not trained by this project.
_base_ = './ghostnetv2-1.0_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=1.3), head=dict(in_channels=1248))
