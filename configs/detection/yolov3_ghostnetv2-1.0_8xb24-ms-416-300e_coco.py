# YOLOv3 with GhostNetV2 1.0 on COCO at 416 px: the recipe of mmdet's zoo
# (yolov3_mobilenetv2_8xb24-ms-416-300e_coco) with another backbone, which is the
# setting of the table in the GhostNetV2 paper. 8 GPUs x 24 images, 30 epochs over the
# training set repeated 10 times.
# Weights: ImageNet, from the release, downloaded on first use. Offline:
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH/ck_ghostnetv2_10.pth.tar
# From scratch: --cfg-options model.backbone.init_cfg=None
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.type=GhostNetV3
#                 model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: AP 24.1 is quoted from the paper (unconfirmed: not seen in a source here);
# the MobileNetV2 of the zoo has 23.9. MACs of the whole classifier at 416 px, counted
# by this project: 570 M, and 1034 M for MobileNetV2, for which the zoo lists none.
_base_ = 'mmdet::yolo/yolov3_mobilenetv2_8xb24-ms-416-300e_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='GhostNetV2',
        widen_factor=1.0,
        out_indices=(2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_10.pth.tar'
        )),
    neck=dict(in_channels=[160, 112, 40]))
find_unused_parameters = False  # every layer of this backbone is used

custom_imports = dict(imports=['mmghost'], allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(save_best='auto'),
    preflight=dict(type='mmghost.PreflightHook'),
    finite=dict(type='mmghost.FiniteHook'),
    interrupt=dict(type='mmghost.InterruptHook'),
    exact_resume=dict(type='mmghost.ExactResumeHook'))
randomness = dict(seed=None, deterministic=False)
