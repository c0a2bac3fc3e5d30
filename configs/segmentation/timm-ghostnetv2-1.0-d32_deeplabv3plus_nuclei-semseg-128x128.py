# Nuclei with timm's GhostNetV2 through mmpretrain's TIMMBackbone, the way without mmghost:
# stride 32 only, and a backbone cut to the first bottleneck of each stride. All else as in
# GhostNetV2's config.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_nuclei-semseg-128x128.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        model_name='ghostnetv2_100',
        features_only=True,
        pretrained=False,
        out_indices=(1, 2, 3, 4)))
