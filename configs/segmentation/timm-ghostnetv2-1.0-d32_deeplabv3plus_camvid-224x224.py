# timm's GhostNetV2 on CamVid through mmpretrain's TIMMBackbone, the way without mmghost:
# stride 32 only, cut at the first bottleneck of each stride. Only the backbone differs
# from the config of GhostNetV2 at stride 32. Weights of mmpretrain's training go in as
# timm's own file (tools/model_converters/convert_weights.py --to release):
#   --cfg-options model.backbone.pretrained=True \
#       model.backbone.pretrained_cfg_overlay.file=PATH
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0-d32_deeplabv3plus_camvid-224x224.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        model_name='ghostnetv2_100',
        features_only=True,
        pretrained=False,
        out_indices=(1, 2, 3, 4)))
