# Short name of GhostNetV2 1.0 on ImageNet; what it reproduces stands there.
_base_ = './classification/ghostnetv2-1.0_8xb128_in1k.py'
