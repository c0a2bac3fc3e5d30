# Mask R-CNN with GhostNetV2 1.6 on COCO: mask-rcnn_ghostnetv2-1.0_fpn_1x_coco.py,
# wider. 8 GPUs x 2 images, 12 epochs, 1333x800.
# Weights: ImageNet, from the release. Numbers: no published AP was found.
_base_ = './mask-rcnn_ghostnetv2-1.0_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        widen_factor=1.6,
        init_cfg=dict(
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_16.pth.tar'
        )),
    neck=dict(in_channels=[40, 64, 180, 256]))
