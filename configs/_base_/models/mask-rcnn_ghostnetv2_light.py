# A light Mask R-CNN with GhostNetV2 1.0, for machines without a GPU and for small data:
# 96 channels in place of 256, half the fully connected and mask layers, and an eighth of
# the boxes that the second stage samples. Neck and mask head normalise (GN), and nothing
# is frozen, so that it also learns without ImageNet weights: init_cfg=None.
_base_ = './mask-rcnn_ghostnetv2_fpn.py'
norm_cfg = dict(type='GN', num_groups=16)
model = dict(
    backbone=dict(frozen_stages=-1, norm_eval=False),
    neck=dict(out_channels=96, norm_cfg=norm_cfg),
    rpn_head=dict(in_channels=96, feat_channels=96),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=2), out_channels=96),
        bbox_head=dict(in_channels=96, fc_out_channels=256),
        mask_roi_extractor=dict(roi_layer=dict(sampling_ratio=2), out_channels=96),
        mask_head=dict(
            num_convs=2, in_channels=96, conv_out_channels=64, norm_cfg=norm_cfg)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=250),
        rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)))
