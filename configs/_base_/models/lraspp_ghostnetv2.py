# LR-ASPP (https://arxiv.org/abs/1905.02244) on GhostNetV2 1.0 with output stride 16,
# which the paper uses on phones: a gate from the global average on the last features
# (stage 5, read by 1x1 convolutions only), refined with the features of strides 8 and
# 4. The head is that of mmseg with a global average. mmseg pools windows of 49x49,
# which the maps of images below 784 px do not have. Data preprocessor and BN are those
# of deeplabv3_ghostnetv2.py.
_base_ = './deeplabv3_ghostnetv2.py'
model = dict(
    backbone=dict(out_indices=(1, 2, 5), output_stride=16),
    decode_head=dict(
        _delete_=True,
        type='GlobalLRASPPHead',
        in_channels=(24, 40, 960),
        in_index=(0, 1, 2),
        channels=128,
        branch_channels=(32, 64),
        input_transform='multiple_select',
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=dict(type='BN', requires_grad=True),
        act_cfg=dict(type='ReLU'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=None)
