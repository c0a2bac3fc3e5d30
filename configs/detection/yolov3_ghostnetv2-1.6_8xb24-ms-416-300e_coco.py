# YOLOv3 with GhostNetV2 1.6 on COCO at 416 px:
# yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py, wider. 8 GPUs x 24 images.
# Weights: ImageNet, from the release. Numbers: no published AP was found.
_base_ = './yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py'

model = dict(
    backbone=dict(
        widen_factor=1.6,
        init_cfg=dict(
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_16.pth.tar'
        )),
    neck=dict(in_channels=[256, 180, 64]))
