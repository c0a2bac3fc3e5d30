# Semantic FPN (https://arxiv.org/abs/1901.02446) of mmseg's fpn_r50 on GhostNetV2 1.0:
# stages 1 to 4 (strides 4 to 32) with 256 channels each, summed at stride 4. Batch
# norms of the backbone keep the ImageNet statistics. Data preprocessor and BN of the
# head are those of deeplabv3_ghostnetv2.py.
_base_ = './deeplabv3_ghostnetv2.py'
model = dict(
    backbone=dict(output_stride=32, norm_eval=True),
    neck=dict(
        type='FPN', in_channels=[24, 40, 112, 160], out_channels=256, num_outs=4),
    decode_head=dict(
        _delete_=True,
        type='FPNHead',
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=None)
