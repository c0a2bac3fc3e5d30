# Semantic FPN with GhostNetV3 1.0 on ADE20K:
# ghostnetv2-1.0_fpn_4xb4-80k_ade20k-512x512.py from V3's weights. Their branches are
# folded on loading: the network is GhostNetV2, and since batch norms are held, its
# features are V3's. 4 GPUs x 4 images, 80 000 iterations.
# Weights: ImageNet, the release's average (EMA), downloaded on first use.
# Numbers: no published mIoU with this backbone was found.
_base_ = './ghostnetv2-1.0_fpn_4xb4-80k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV3/ghostnetv3-1.0.pth.tar'
        )))
