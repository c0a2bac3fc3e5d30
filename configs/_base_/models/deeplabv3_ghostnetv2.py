# DeepLabV3 (https://arxiv.org/abs/1706.05587) of mmseg's deeplabv3_r50-d8 on GhostNetV2
# 1.0 with output stride 8. The decode head reads stage 4, the last bottlenecks (160
# channels). Stage 5, the 1x1 convolution after them (960), prepares the classifier: it
# adds no context, and the 3x3 convolutions of ASPP would cost six times as much on it.
# The MobileNetV2 of the zoo skips it as well. The auxiliary head reads stage 3. ASPP
# has half the dilations (6, 12, 18) at output stride 16 and a quarter (3, 6, 9) at 32,
# so that it reaches equally far. BN; configs for several GPUs make it SyncBN with
# sync_bn = 'torch'.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512)),
    backbone=dict(
        type='GhostNetV2',
        widen_factor=1.0,
        out_indices=(1, 2, 3, 4),
        output_stride=8,
        norm_cfg=norm_cfg,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_10.pth.tar'
        )),
    decode_head=dict(
        type='ASPPHead',
        in_channels=160,
        in_index=3,
        channels=512,
        dilations=(1, 12, 24, 36),
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=112,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
