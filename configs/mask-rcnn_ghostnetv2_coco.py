# Short name of the Mask R-CNN with GhostNetV2 1.0 on COCO; what it reproduces stands there.
_base_ = './detection/mask-rcnn_ghostnetv2-1.0_fpn_1x_coco.py'
