# What one uses without mmghost: timm's ghostnetv2_100 through the wrapper of
# mmpretrain. Everything but the backbone is as in retinanet_ghostnetv2-1.0_bccd-320.py.
# The wrapper taps the first bottleneck of each stride, so stride 16 has 80 channels
# instead of 112, and the bottlenecks after the first one of stride 32 are not built.
# Numbers: measured by this project, docs/results.md.
_base_ = './retinanet_ghostnetv2-1.0_bccd-320.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        model_name='ghostnetv2_100',
        features_only=True,
        pretrained=False,
        out_indices=(2, 3, 4)),
    neck=dict(in_channels=[40, 80, 160]))
