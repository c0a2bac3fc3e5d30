# Mask R-CNN with GhostNetV1 1.1 on COCO: the baseline that costs what GhostNetV2 1.0
# does (167 M MACs at 224). 8 GPUs x 2 pictures, 12 epochs, 1333x800.
# Weights: none of this width are published; train them (configs/classification) and name
# the file: --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Numbers: no published AP with this backbone was found.
_base_ = './mask-rcnn_ghostnetv2-1.0_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='GhostNetV1',
        widen_factor=1.1,
        init_cfg=dict(checkpoint='checkpoints/ghostnetv1-1.1_in1k.pth')),
    neck=dict(in_channels=[28, 44, 124, 176]))
