# GhostNetV1 1.1, whose cost is that of GhostNetV2 1.0, on Tiny ImageNet. Only the
# backbone differs from ghostnetv2-1.0_tiny-imagenet-100.py.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0_tiny-imagenet-100.py'

model = dict(
    backbone=dict(type='GhostNetV1', widen_factor=1.1), head=dict(in_channels=1056))
