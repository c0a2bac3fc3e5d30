# GhostNetV2 1.0 tapped and cut as timm's wrapper does, on BCCD: whether its AP comes from
# the cut alone. Only the backbone differs from retinanet_ghostnetv2-1.0_bccd-320.py.
#   PYTHONPATH=. OMP_NUM_THREADS=1 python tools/train.py \
#       projects/ablation/configs/retinanet_truncated-ghostnetv2-1.0_bccd-320.py
# Numbers: measured by this project, docs/results.md.
_base_ = '../../../configs/detection/retinanet_ghostnetv2-1.0_bccd-320.py'
custom_imports = dict(
    imports=['mmghost', 'projects.ablation'], allow_failed_imports=False)

model = dict(
    backbone=dict(type='TruncatedGhostNetV2', out_indices=(2, 3, 4)),
    neck=dict(in_channels=[40, 80, 160]))
