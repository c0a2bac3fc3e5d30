# A light RetinaNet with GhostNetV2 1.0, for machines without a GPU and for small
# datasets: 96 channels instead of 256, two convolutions instead of four, three levels
# (strides 8, 16 and 32). Neck and head have group norm and nothing is frozen, so that
# it also trains from scratch: init_cfg=None.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'
norm_cfg = dict(type='GN', num_groups=16)
model = dict(
    backbone=dict(
        _delete_=True,
        type='GhostNetV2',
        widen_factor=1.0,
        out_indices=(2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_10.pth.tar'
        )),
    neck=dict(
        _delete_=True,
        type='FPN',
        in_channels=[40, 112, 160],
        out_channels=96,
        num_outs=3,
        norm_cfg=norm_cfg),
    bbox_head=dict(
        in_channels=96,
        stacked_convs=2,
        feat_channels=96,
        norm_cfg=norm_cfg,
        anchor_generator=dict(strides=[8, 16, 32])))
