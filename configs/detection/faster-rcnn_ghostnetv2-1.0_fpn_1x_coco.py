# Faster R-CNN with GhostNetV2 1.0 on COCO: mmdet's own 1x recipe
# (faster-rcnn_r50_fpn_1x_coco) with the backbone exchanged. 8 GPUs x 2 pictures,
# 12 epochs, 1333x800.
# Weights: the authors' ImageNet release, fetched on first use. Without a network:
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH/ck_ghostnetv2_10.pth.tar
# From scratch (batch norm must then learn, and nothing may be frozen):
#   --cfg-options model.backbone.init_cfg=None model.backbone.norm_eval=False
#                 model.backbone.frozen_stages=-1
# Numbers: lr and schedule are mmdet's; no published AP with this backbone was found;
# the GhostNet paper (https://arxiv.org/abs/1911.11907) has 26.9 with GhostNetV1 1.1.
_base_ = [
    '../_base_/models/faster-rcnn_ghostnetv2_fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/runtimes/detection.py',
]
