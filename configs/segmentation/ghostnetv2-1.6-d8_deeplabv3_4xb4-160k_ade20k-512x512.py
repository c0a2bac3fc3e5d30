# DeepLabV3 with GhostNetV2 1.6 at output stride 8 on ADE20K:
# ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py, wider. 4 GPUs x 4 images,
# 160 000 iterations. Weights: ImageNet, from the release.
# Numbers: no published mIoU was found.
_base_ = './ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        widen_factor=1.6,
        init_cfg=dict(
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_16.pth.tar'
        )),
    decode_head=dict(in_channels=256),
    auxiliary_head=dict(in_channels=180))
