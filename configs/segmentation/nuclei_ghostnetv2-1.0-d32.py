# Nuclei with GhostNetV2 1.0 at its own stride 32: beside timm's, which has no other, the
# difference is the backbone's alone. All else as in nuclei_ghostnetv2-1.0-d16.py.
_base_ = './nuclei_ghostnetv2-1.0-d16.py'

model = dict(backbone=dict(output_stride=32))
