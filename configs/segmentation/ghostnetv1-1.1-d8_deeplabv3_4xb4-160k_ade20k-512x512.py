# DeepLabV3 with GhostNetV1 1.1 at output stride 8 on ADE20K: the baseline at the cost
# of GhostNetV2 1.0 (167 M MACs at 224). 4 GPUs x 4 images, 160 000 iterations.
# Weights: none of this width are published. Train them (configs/classification) and
# pass the file: --cfg-options model.backbone.init_cfg.checkpoint=PATH
# From scratch: --cfg-options model.backbone.init_cfg=None
# Numbers: 34.17 mIoU is quoted for it (unconfirmed).
_base_ = './ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        type='GhostNetV1',
        widen_factor=1.1,
        init_cfg=dict(checkpoint='checkpoints/ghostnetv1-1.1_in1k.pth')),
    decode_head=dict(in_channels=176),
    auxiliary_head=dict(in_channels=124))
