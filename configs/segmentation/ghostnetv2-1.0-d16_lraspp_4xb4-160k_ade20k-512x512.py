# LR-ASPP with GhostNetV2 1.0 at output stride 16 on ADE20K, the lightest head, for
# phones. 4 GPUs x 4 images, 160 000 iterations, 512x512. Weights: ImageNet, from the
# release.
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.type=GhostNetV3
#                 model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: schedule and augmentation are those of the DeepLab configs (the zoo trains
# LR-ASPP on Cityscapes only); no published mIoU was found.
_base_ = [
    '../_base_/models/lraspp_ghostnetv2.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/runtimes/segmentation.py',
]

custom_imports = dict(
    imports=['mmghost', 'mmghost.models.lraspp'], allow_failed_imports=False)
sync_bn = 'torch'  # with several processes; a single one keeps BN
