# DeepLabV3 with GhostNetV2 1.0 at output stride 8 on ADE20K: the recipe of mmseg's
# mobilenet-v2-d8_deeplabv3_4xb4-160k_ade20k-512x512 with another backbone, whose output
# stride is exactly a trous. 4 GPUs x 4 images, 160 000 iterations, 512x512.
# Weights: ImageNet, from the release, downloaded on first use. Offline:
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH/ck_ghostnetv2_10.pth.tar
# From scratch: --cfg-options model.backbone.init_cfg=None
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.type=GhostNetV3
#                 model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: the MobileNetV2 of the zoo has mIoU 34.08. 35.52 is quoted for GhostNetV2 1.0
# (unconfirmed, output stride not known).
_base_ = [
    '../_base_/models/deeplabv3_ghostnetv2.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/runtimes/segmentation.py',
]

sync_bn = 'torch'  # with several processes; a single one keeps BN
