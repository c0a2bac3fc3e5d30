# mmseg's own MobileNetV2 on nuclei, dilated to output stride 16 in mmseg's way.
# Everything else is as in the config of GhostNetV2.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_nuclei-semseg-128x128.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmseg.MobileNetV2',
        widen_factor=1.,
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 2, 4, 6),
        norm_cfg=dict(type='BN', requires_grad=True)),
    decode_head=dict(in_channels=320))
