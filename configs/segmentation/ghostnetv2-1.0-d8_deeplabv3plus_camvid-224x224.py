# GhostNetV2 1.0 at output stride 8 on CamVid. Only stride and dilations differ from the
# config at stride 16.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_camvid-224x224.py'

model = dict(
    backbone=dict(output_stride=8), decode_head=dict(dilations=(1, 6, 12, 18)))
