# DeepLabV3 with GhostNetV3 1.0 at output stride 8 on ADE20K:
# ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py with V3's branches, because
# batch norms train. Fold them at the end with
# tools/model_converters/switch_to_deploy.py: the result costs what GhostNetV2 does.
# 4 GPUs x 4 images, 160 000 iterations.
# Weights: ImageNet, the release's average (EMA), downloaded on first use.
# Numbers: no published mIoU was found.
_base_ = './ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        type='GhostNetV3',
        init_cfg=dict(
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV3/ghostnetv3-1.0.pth.tar'
        )))
