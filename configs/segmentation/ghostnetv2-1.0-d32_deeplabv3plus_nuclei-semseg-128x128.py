# Nuclei with GhostNetV2 1.0 at its own stride 32: beside timm's, which has no other, the
# difference is the backbone's alone. All else as in the config at stride 16.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_nuclei-semseg-128x128.py'

model = dict(backbone=dict(output_stride=32))
