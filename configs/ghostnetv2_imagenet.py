# Short name of GhostNetV2 1.0 on ImageNet, explained in its base.
_base_ = './classification/ghostnetv2-1.0_8xb128_in1k.py'
