# DeepLabV3 with GhostNetV2 1.0 at its own stride 32 on ADE20K:
# ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py without dilation in the
# backbone and with a quarter of ASPP's dilations. 4 GPUs x 4 images, 160 000
# iterations. Weights: ImageNet, from the release.
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.type=GhostNetV3
#                 model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published mIoU was found.
_base_ = './ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(output_stride=32), decode_head=dict(dilations=(1, 3, 6, 9)))
