# GhostNetV2 1.0 at its own stride 32 on nuclei. Beside timm's, which has no other
# stride, only the backbone differs. Everything else is as in the config at stride 16.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_nuclei-semseg-128x128.py'

model = dict(backbone=dict(output_stride=32))
