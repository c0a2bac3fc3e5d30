# A light Mask R-CNN with GhostNetV2 1.0, for machines without a GPU and for small
# datasets: 96 channels instead of 256, smaller box and mask heads, and an eighth of the
# sampled boxes. Neck and mask head have group norm and nothing is frozen, so that it
# also trains from scratch: init_cfg=None.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
norm_cfg = dict(type='GN', num_groups=16)
roi_extractor = dict(roi_layer=dict(sampling_ratio=2), out_channels=96)
model = dict(
    backbone=dict(
        _delete_=True,
        type='GhostNetV2',
        widen_factor=1.0,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_10.pth.tar'
        )),
    neck=dict(
        in_channels=[24, 40, 112, 160], out_channels=96, norm_cfg=norm_cfg),
    rpn_head=dict(in_channels=96, feat_channels=96),
    roi_head=dict(
        bbox_roi_extractor=roi_extractor,
        bbox_head=dict(in_channels=96, fc_out_channels=256),
        mask_roi_extractor=roi_extractor,
        mask_head=dict(
            num_convs=2, in_channels=96, conv_out_channels=64, norm_cfg=norm_cfg)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=250),
        rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)))
