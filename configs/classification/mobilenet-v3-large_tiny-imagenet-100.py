# mmpretrain's MobileNetV3 large on Tiny ImageNet. Only backbone and activation differ
# from ghostnetv2-1.0_tiny-imagenet-100.py.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0_tiny-imagenet-100.py'

model = dict(
    backbone=dict(_delete_=True, type='MobileNetV3', arch='large'),
    head=dict(act_cfg=dict(type='HSwish')))
