# DeepLabV3 with GhostNetV2 1.0 at output stride 8 on Cityscapes: the recipe of mmseg's
# mobilenet-v2-d8_deeplabv3_4xb2-80k_cityscapes-512x1024 with another backbone.
# 4 GPUs x 2 images, 80 000 iterations, 512x1024. Weights: ImageNet, from the release.
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.type=GhostNetV3
#                 model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published mIoU with this backbone was found.
_base_ = [
    '../_base_/models/deeplabv3_ghostnetv2.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_80k.py',
    '../_base_/runtimes/segmentation.py',
]

model = dict(
    data_preprocessor=dict(size=(512, 1024)),
    decode_head=dict(num_classes=19),
    auxiliary_head=dict(num_classes=19))
sync_bn = 'torch'  # with several processes; a single one keeps BN
default_hooks = dict(checkpoint=dict(interval=8000))
