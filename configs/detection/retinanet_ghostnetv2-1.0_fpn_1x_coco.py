# RetinaNet with GhostNetV2 1.0 on COCO: the 1x recipe of mmdet
# (retinanet_r50_fpn_1x_coco) with another backbone. 8 GPUs x 2 images, 12 epochs,
# 1333x800.
# Weights: ImageNet, from the release, downloaded on first use. Offline:
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH/ck_ghostnetv2_10.pth.tar
# From scratch, batch norm must learn and nothing may be frozen:
#   --cfg-options model.backbone.init_cfg=None model.backbone.norm_eval=False
#                 model.backbone.frozen_stages=-1
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published AP with this backbone was found. The 1x of mmdet's ResNet-18 has
# 31.7; the 26.6 of the GhostNet paper is from another recipe and no target for this
# one.
_base_ = [
    '../_base_/models/retinanet_ghostnetv2_fpn.py',
    '../_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    '../_base_/runtimes/detection.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.01))
