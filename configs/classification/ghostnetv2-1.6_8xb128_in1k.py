# GhostNetV2 1.6 on ImageNet-1k by the recipe of the release: 8 GPUs x 128 images, 450
# epochs, from scratch.
# Numbers: top-1 77.8 in the release; timm measured 77.84 / 93.95 with its weights
# (ck_ghostnetv2_16.pth.tar). Not trained by this project.
_base_ = './ghostnetv2-1.0_8xb128_in1k.py'

model = dict(backbone=dict(widen_factor=1.6), head=dict(in_channels=1536))
