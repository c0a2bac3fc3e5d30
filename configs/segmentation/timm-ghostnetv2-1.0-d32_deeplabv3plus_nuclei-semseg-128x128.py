# timm's GhostNetV2 on nuclei through mmpretrain's TIMMBackbone, the way without
# mmghost: stride 32 only, and a backbone cut at the first bottleneck of each stride.
# Everything else is as in the config of GhostNetV2.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0-d16_deeplabv3plus_nuclei-semseg-128x128.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        model_name='ghostnetv2_100',
        features_only=True,
        pretrained=False,
        out_indices=(1, 2, 3, 4)))
