# mmpretrain's MobileNetV2 on BCCD. Only the backbone differs from the config of
# GhostNetV2. mmdet's own has other names: of a checkpoint of mmpretrain it would load the
# stem alone, with a warning.
# Numbers: measured by this project, docs/results.md.
_base_ = './retinanet_ghostnetv2-1.0_bccd-320.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.MobileNetV2',
        out_indices=(2, 4, 6)),
    neck=dict(in_channels=[32, 96, 320]))
