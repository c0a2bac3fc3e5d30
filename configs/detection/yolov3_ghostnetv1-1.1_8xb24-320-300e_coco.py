# YOLOv3 with GhostNetV1 1.1 on COCO at 320 px: the baseline that costs what GhostNetV2
# 1.0 does. 8 GPUs x 24 pictures; the recipe stands in
# yolov3_ghostnetv2-1.0_8xb24-320-300e_coco.py.
# Weights: none of this width are published; train them (configs/classification) and name
# the file: --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Numbers: the GhostNetV2 paper's table is quoted with AP 21.8 (unconfirmed: not seen in a
# source here).
_base_ = './yolov3_ghostnetv2-1.0_8xb24-320-300e_coco.py'

model = dict(
    backbone=dict(
        type='GhostNetV1',
        widen_factor=1.1,
        init_cfg=dict(checkpoint='checkpoints/ghostnetv1-1.1_in1k.pth')),
    neck=dict(in_channels=[176, 124, 44]))
