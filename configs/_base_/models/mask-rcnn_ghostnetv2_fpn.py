# Mask R-CNN (https://arxiv.org/abs/1703.06870) of mmdet with FPN on GhostNetV2 1.0,
# strides 4 to 32 and a pooled level. As in mmdet, batch norm keeps the ImageNet
# statistics and the layers up to stride 4 (stem, stages 0 and 1) are frozen.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='GhostNetV2',
        widen_factor=1.0,
        out_indices=(1, 2, 3, 4),
        frozen_stages=2,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_10.pth.tar'
        )),
    neck=dict(in_channels=[24, 40, 112, 160]))
