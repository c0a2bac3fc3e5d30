# A light DeepLabV3 on nuclei, to try its export (docs/deployment.md); everything else is
# as in the DeepLabV3+ config.
# Numbers: measured by this project, docs/reproduction.md.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_nuclei-semseg-128x128.py'

model = dict(
    decode_head=dict(
        _delete_=True,
        type='ASPPHead',
        in_channels=160,
        in_index=3,
        channels=64,
        dilations=(1, 2, 3),
        dropout_ratio=0.1,
        num_classes=2,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)))
