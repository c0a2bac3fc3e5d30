# The same RetinaNet, data, schedule and seed as retinanet_ghostnetv2-1.0_bccd-320.py with
# what one uses without mmghost: timm's ghostnetv2_100 through mmpretrain's wrapper. Its
# taps are the first bottleneck of each stride, so stride 16 has 80 channels, not 112, and
# what follows the first bottleneck of stride 32 is not built.
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
