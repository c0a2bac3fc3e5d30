# Mask R-CNN with GhostNetV2 1.0 on COCO as today's light backbones are compared: the 1x
# of mmdet with AdamW (lr 2e-4, weight decay 0.05) and nothing frozen. As in RepViT's
# code, batch norms keep the ImageNet statistics. 8 GPUs x 2 images, 12 epochs,
# 1333x800.
# Weights: ImageNet, from the release, downloaded on first use.
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published AP with this backbone was found. By this recipe, box / mask AP:
# LSNet-T 35.0 / 32.7 (its README), RepViT-M1.1 39.8 / 37.2, ResNet-18 34.0 / 31.2,
# EfficientNet-B0 31.9 / 29.4 (iFormer, arXiv:2501.15369, table 5).
_base_ = './mask-rcnn_ghostnetv2-1.0_fpn_1x_coco.py'

model = dict(backbone=dict(frozen_stages=-1))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, weight_decay=0.05))
