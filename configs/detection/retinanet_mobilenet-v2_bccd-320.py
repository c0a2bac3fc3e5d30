# mmdet's own MobileNetV2 on BCCD. Only the backbone differs from the config of
# GhostNetV2.
# Numbers: not trained by this project yet.
_base_ = './retinanet_ghostnetv2-1.0_bccd-320.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.MobileNetV2',
        out_indices=(2, 4, 6)),
    neck=dict(in_channels=[32, 96, 320]))
