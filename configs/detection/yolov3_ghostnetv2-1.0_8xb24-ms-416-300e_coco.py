# YOLOv3 with GhostNetV2 1.0 on COCO at 416 px: the recipe of mmdet's zoo
# (yolov3_mobilenetv2_8xb24-ms-416-300e_coco) with the backbone exchanged, which is the
# setting of the GhostNetV2 paper's table. 8 GPUs x 24 pictures, 30 epochs over the
# training set repeated 10 times.
# Weights: the authors' ImageNet release, fetched on first use. Without a network:
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH/ck_ghostnetv2_10.pth.tar
# From scratch: --cfg-options model.backbone.init_cfg=None
# Numbers: the paper's table is quoted with AP 24.1 (unconfirmed: not seen in a source
# here); the zoo's MobileNetV2 has 23.9.
_base_ = [
    '../_base_/models/yolov3_ghostnetv2.py',
    '../_base_/datasets/coco_yolov3.py',
    '../_base_/schedules/schedule_yolov3-300e.py',
    '../_base_/runtimes/detection.py',
]
