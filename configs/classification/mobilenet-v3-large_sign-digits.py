# Sign Language Digits with mmpretrain's MobileNetV3 large: the comparison for
# ghostnetv2-1.0_sign-digits.py, different in backbone and activation alone.
_base_ = './ghostnetv2-1.0_sign-digits.py'

model = dict(
    backbone=dict(_delete_=True, type='MobileNetV3', arch='large'),
    head=dict(act_cfg=dict(type='HSwish')))
