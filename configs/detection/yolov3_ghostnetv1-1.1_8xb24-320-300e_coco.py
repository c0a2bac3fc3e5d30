# YOLOv3 with GhostNetV1 1.1 on COCO at 320 px: the baseline at the cost of GhostNetV2
# 1.0. 8 GPUs x 24 images; the recipe is explained in
# yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py.
# Weights: none of this width are published. Train them (configs/classification) and
# pass the file: --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Numbers: AP 21.8 is quoted from the GhostNetV2 paper (unconfirmed: not seen in a
# source here). MACs of the whole classifier at 320 px, counted by this project: 336 M.
_base_ = './yolov3_ghostnetv2-1.0_8xb24-320-300e_coco.py'

model = dict(
    backbone=dict(
        type='GhostNetV1',
        widen_factor=1.1,
        init_cfg=dict(checkpoint='checkpoints/ghostnetv1-1.1_in1k.pth')),
    neck=dict(in_channels=[176, 124, 44]))
