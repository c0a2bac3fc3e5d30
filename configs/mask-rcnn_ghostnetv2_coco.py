# Short name of Mask R-CNN with GhostNetV2 1.0 on COCO, explained in its base.
_base_ = './detection/mask-rcnn_ghostnetv2-1.0_fpn_1x_coco.py'
