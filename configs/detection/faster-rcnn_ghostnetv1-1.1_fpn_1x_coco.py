# Faster R-CNN with GhostNetV1 1.1 on COCO: the baseline at the cost of GhostNetV2 1.0
# (167 M MACs at 224). 8 GPUs x 2 images, 12 epochs, 1333x800.
# Weights: none of this width are published. Train them (configs/classification) and
# pass the file:
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Without weights, the preflight check stops the training, because frozen random layers
# learn nothing. From scratch: retinanet_ghostnetv2-1.0_fpn_1x_coco.py.
# Numbers: the 26.9 AP of the GhostNet paper (https://arxiv.org/abs/1911.11907) is from
# another recipe and no target.
_base_ = './faster-rcnn_ghostnetv2-1.0_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='GhostNetV1',
        widen_factor=1.1,
        init_cfg=dict(checkpoint='checkpoints/ghostnetv1-1.1_in1k.pth')),
    neck=dict(in_channels=[28, 44, 124, 176]))
