# DeepLabV3+ (https://arxiv.org/abs/1802.02611) of mmseg's deeplabv3plus_r50-d8 on
# GhostNetV2 1.0 with output stride 8: a separable ASPP on stage 4, refined with the
# features of stage 1 (stride 4).
_base_ = './deeplabv3_ghostnetv2.py'
model = dict(
    decode_head=dict(
        type='DepthwiseSeparableASPPHead', c1_in_channels=24, c1_channels=48))
