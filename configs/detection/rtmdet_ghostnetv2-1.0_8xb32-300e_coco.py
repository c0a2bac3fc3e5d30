# RTMDet with GhostNetV2 1.0 on COCO at 640 px: the recipe of mmdet's
# rtmdet_tiny_8xb32-300e_coco with another backbone. 8 GPUs x 32 images, 300 epochs, the
# last 20 without mosaic and mixup.
# Weights: ImageNet, from the release, downloaded on first use. Offline:
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH/ck_ghostnetv2_10.pth.tar
# From scratch: --cfg-options model.backbone.init_cfg=None
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.type=GhostNetV3
#                 model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published AP with this backbone was found; RTMDet-tiny of mmdet has 40.9.
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'

norm_cfg = dict(type='BN')  # sync_bn makes it SyncBN where there are several processes
sync_bn = 'torch'
model = dict(
    # Images are RGB, which the ImageNet weights are for; mmdet's own are BGR.
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        _delete_=True,
        type='GhostNetV2',
        widen_factor=1.0,
        out_indices=(2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_10.pth.tar'
        )),
    neck=dict(in_channels=[40, 112, 160], norm_cfg=norm_cfg),
    bbox_head=dict(norm_cfg=norm_cfg))
auto_scale_lr = dict(base_batch_size=256)  # mmdet has 16, of schedule_1x

custom_imports = dict(imports=['mmghost'], allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(save_best='auto'),
    preflight=dict(type='mmghost.PreflightHook'),
    finite=dict(type='mmghost.FiniteHook'),
    interrupt=dict(type='mmghost.InterruptHook'),
    exact_resume=dict(type='mmghost.ExactResumeHook'))
randomness = dict(seed=None, deterministic=False)
