# MobileNetV2 1.0 with Coordinate Attention on ImageNet-1k: a row of the GhostNetV2 paper's
# table 5. It stands behind the depthwise convolution of every block that expands.
#   bash tools/dist_train.sh projects/ablation/configs/mobilenet-v2-ca_8xb128_in1k.py 8
# Numbers: not trained by this project; see projects/ablation/README.md.
_base_ = './mobilenet-v2_8xb128_in1k.py'

model = dict(backbone=dict(attention=dict(type='CoordAttention', reduction=32)))
