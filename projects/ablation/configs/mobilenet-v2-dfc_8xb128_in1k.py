# MobileNetV2 1.0 with DFC attention on ImageNet-1k: a row of the GhostNetV2 paper's
# table 5. Its gate is computed from a block's input and put on the
# expanded features, as in GhostNetV2.
#   bash tools/dist_train.sh projects/ablation/configs/mobilenet-v2-dfc_8xb128_in1k.py 8
# Numbers: not trained by this project; see projects/ablation/README.md.
_base_ = './mobilenet-v2_8xb128_in1k.py'

model = dict(backbone=dict(attention=dict(type='DFCAttention')))
