# Faster R-CNN with GhostNetV2 1.0 on COCO: the 1x recipe of mmdet
# (faster-rcnn_r50_fpn_1x_coco) with another backbone. 8 GPUs x 2 images, 12 epochs,
# 1333x800.
# Weights: ImageNet, from the release, downloaded on first use. Offline and from
# scratch: retinanet_ghostnetv2-1.0_fpn_1x_coco.py.
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published AP with this backbone was found. The 26.9 of the GhostNet paper
# (https://arxiv.org/abs/1911.11907, GhostNetV1 1.1) is from another recipe.
_base_ = [
    '../_base_/models/faster-rcnn_ghostnetv2_fpn.py',
    '../_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    '../_base_/runtimes/detection.py',
]
