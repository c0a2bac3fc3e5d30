# GhostNetV1 1.1, whose cost is that of GhostNetV2 1.0, on CamVid. Only the backbone
# differs from the config of GhostNetV2.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_camvid-224x224.py'

model = dict(
    backbone=dict(type='GhostNetV1', widen_factor=1.1),
    decode_head=dict(in_channels=176, c1_in_channels=28))
