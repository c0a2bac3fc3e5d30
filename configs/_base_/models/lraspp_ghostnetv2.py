# LR-ASPP (https://arxiv.org/abs/1905.02244) on GhostNetV2 1.0 with output stride 16, the
# stride that the paper ships to phones: a gate from the picture's average on the last
# features (stage 5, the 1x1 convolution, which only 1x1 convolutions read here), refined
# with those of strides 8 and 4. The head is mmseg's but for the average: mmseg pools
# 49x49 windows, which maps of less than 49 px (pictures of less than 784 px) do not have.
# BN; configs for many GPUs turn it into SyncBN with sync_bn = 'torch'.
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
        out_indices=(1, 2, 5),
        output_stride=16,
        norm_cfg=norm_cfg,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/GhostNetV2/ck_ghostnetv2_10.pth.tar'
        )),
    decode_head=dict(
        type='GlobalLRASPPHead',
        in_channels=(24, 40, 960),
        in_index=(0, 1, 2),
        channels=128,
        branch_channels=(32, 64),
        input_transform='multiple_select',
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        act_cfg=dict(type='ReLU'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
