# SSDLite with GhostNetV2 1.0 on COCO at 320 px, a detector for phones: the recipe of
# mmdet's zoo (ssdlite_mobilenetv2-scratch_8xb24-600e_coco) with another backbone, and
# from ImageNet weights. 8 GPUs x 24 images, 120 epochs over the training set repeated 5
# times, cosine.
# Weights: ImageNet, from the release, downloaded on first use. Offline:
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH/ck_ghostnetv2_10.pth.tar
# From scratch: --cfg-options model.backbone.init_cfg=None
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.type=GhostNetV3
#                 model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published AP with this backbone was found; the MobileNetV2 of the zoo,
# from scratch, has 21.3.
_base_ = 'mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py'

# As in the zoo, the first two levels are the last bottlenecks of stride 16 (stage 3)
# and the 1x1 convolution after those of stride 32 (stage 5).
model = dict(
    backbone=dict(
        _delete_=True,
        type='GhostNetV2',
        widen_factor=1.0,
        out_indices=(3, 5),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_10.pth.tar'
        )),
    neck=dict(
        in_channels=(112, 960), out_channels=(112, 960, 512, 256, 256, 128)),
    bbox_head=dict(in_channels=(112, 960, 512, 256, 256, 128)))

custom_imports = dict(imports=['mmghost'], allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(save_best='auto'),
    preflight=dict(type='mmghost.PreflightHook'),
    finite=dict(type='mmghost.FiniteHook'),
    interrupt=dict(type='mmghost.InterruptHook'),
    exact_resume=dict(type='mmghost.ExactResumeHook'))
randomness = dict(seed=None, deterministic=False)
