# Semantic FPN with GhostNetV2 1.0 on ADE20K as today's light backbones are compared:
# AdamW, weight decay 1e-4, poly 0.9 to 1e-6, nothing frozen; as in RepViT's code, batch
# norms of the backbone keep the ImageNet statistics. 4 GPUs x 4 images, 80 000
# iterations, lr 1e-4; RepViT, LSNet and PoolFormer train half as long with twice the
# images and twice the lr.
# Weights: ImageNet, from the release, downloaded on first use.
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: no published mIoU with this backbone was found. LSNet-T has 40.1 (its
# README), RepViT-M1.1 40.6 (iFormer, arXiv:2501.15369, table 5).
_base_ = [
    '../_base_/models/fpn_ghostnetv2.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_80k.py',
    '../_base_/runtimes/segmentation.py',
]

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=1e-4))
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-6, power=0.9, begin=0, end=80000, by_epoch=False),
]
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(checkpoint=dict(interval=8000))
sync_bn = 'torch'  # with several processes; a single one keeps BN
