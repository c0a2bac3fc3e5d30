# The MindSpore model zoo's GhostNetV2 1x, evaluated as MindSpore does:
#   python tools/test.py configs/classification/ghostnetv2-1.0-mindspore_in1k.py \
#       ghostnetv2_1x.ckpt
# The file goes in as it is. Its network differs from the PyTorch release's in one thing:
# the gate of DFC attention is up-sampled bilinearly, corners aligned.
# Weights: https://download.mindspore.cn/model_zoo/research/cv/ghostnetv2/
# Number: top-1 74.0 according to its README; not measured by this project.
_base_ = [
    '../_base_/models/ghostnetv2_classifier.py',
    '../_base_/datasets/imagenet_val_bilinear.py',
    '../_base_/runtimes/classification.py',
]

model = dict(backbone=dict(dfc=dict(upsample='bilinear', align_corners=True)))
