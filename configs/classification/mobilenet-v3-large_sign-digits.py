# mmpretrain's MobileNetV3 large on Sign Language Digits: the comparison for
# ghostnetv2-1.0_sign-digits.py. Only backbone and activation differ.
# Numbers: measured by this project, docs/results.md.
_base_ = './ghostnetv2-1.0_sign-digits.py'

model = dict(
    backbone=dict(_delete_=True, type='MobileNetV3', arch='large'),
    head=dict(act_cfg=dict(type='HSwish')))
