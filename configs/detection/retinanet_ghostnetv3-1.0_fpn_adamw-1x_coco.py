# RetinaNet with GhostNetV3 1.0 on COCO: retinanet_ghostnetv2-1.0_fpn_adamw-1x_coco.py
# from V3's weights. Their branches are folded on loading: the network is GhostNetV2,
# and since batch norms are held, its features are V3's. 8 GPUs x 2 images, 12 epochs,
# 1333x800.
# Weights: ImageNet, the release's average (EMA), downloaded on first use.
# Numbers: no published AP with this backbone was found.
_base_ = './retinanet_ghostnetv2-1.0_fpn_adamw-1x_coco.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV3/ghostnetv3-1.0.pth.tar'
        )))
