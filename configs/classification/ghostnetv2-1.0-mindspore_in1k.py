# GhostNetV2 1.0 of MindSpore's model zoo, evaluated as in MindSpore:
#   python tools/test.py configs/classification/ghostnetv2-1.0-mindspore_in1k.py \
#       ghostnetv2_1x.ckpt
# The file is read as it is. The network differs from the PyTorch release in one point:
# the gate of DFC attention is upsampled bilinearly with aligned corners.
# Weights: https://download.mindspore.cn/model_zoo/research/cv/ghostnetv2/
# Numbers: top-1 74.0 in its README, over 49,920 of the 50,000 images (full batches
# only); not measured by this project.
_base_ = [
    '../_base_/models/ghostnetv2_classifier.py',
    '../_base_/datasets/imagenet_val_bilinear.py',
    '../_base_/runtimes/classification.py',
]

model = dict(backbone=dict(dfc=dict(upsample='bilinear', align_corners=True)))
