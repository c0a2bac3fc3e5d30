# mmpretrain's MobileNetV2 on Tiny ImageNet. Everything but the network is as in
# ghostnetv2-1.0_tiny-imagenet-100.py; the head is that of MobileNetV2.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0_tiny-imagenet-100.py'

model = dict(
    backbone=dict(_delete_=True, type='MobileNetV2', widen_factor=1.0),
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=100,
        in_channels=1280,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        topk=(1, 5)))
