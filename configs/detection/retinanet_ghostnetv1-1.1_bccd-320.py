# GhostNetV1 1.1, whose cost is that of GhostNetV2 1.0, on BCCD. Only the backbone
# differs from the config of GhostNetV2.
# Numbers: measured by this project, docs/results.md.
_base_ = './retinanet_ghostnetv2-1.0_bccd-320.py'

model = dict(
    backbone=dict(type='GhostNetV1', widen_factor=1.1),
    neck=dict(in_channels=[44, 124, 176]))
