# Mask R-CNN with GhostNetV2 1.0 on COCO: the 1x recipe of mmdet
# (mask-rcnn_r50_fpn_1x_coco) with another backbone. 8 GPUs x 2 images, 12 epochs,
# 1333x800.
# Weights: ImageNet, from the release, downloaded on first use. Offline and from
# scratch: retinanet_ghostnetv2-1.0_fpn_1x_coco.py.
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published AP with this backbone was found.
_base_ = [
    '../_base_/models/mask-rcnn_ghostnetv2_fpn.py',
    '../_base_/datasets/coco_instance.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    '../_base_/runtimes/detection.py',
]
