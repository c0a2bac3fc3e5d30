# YOLOv3 with GhostNetV3 1.0 on COCO at 416 px:
# yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py with V3's branches, because batch
# norms train. Fold them at the end with tools/model_converters/switch_to_deploy.py: the
# result costs what GhostNetV2 does. 8 GPUs x 24 images.
# Weights: ImageNet, the release's average (EMA), downloaded on first use.
# Numbers: no published AP was found.
_base_ = './yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py'

model = dict(
    backbone=dict(
        type='GhostNetV3',
        init_cfg=dict(
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV3/ghostnetv3-1.0.pth.tar'
        )))
