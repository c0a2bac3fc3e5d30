# DeepLabV3+ with GhostNetV2 1.0 at output stride 8 on ADE20K: the recipe of mmseg's
# mobilenet-v2-d8_deeplabv3plus_4xb4-160k_ade20k-512x512 with the backbone exchanged.
# 4 GPUs x 4 pictures, 160 000 iterations, 512x512. Weights: the authors' ImageNet release.
# Numbers: lr and schedule are the zoo's, whose MobileNetV2 reaches mIoU 34.02; no
# published one with this backbone was found.
_base_ = [
    '../_base_/models/deeplabv3plus_ghostnetv2.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/runtimes/segmentation.py',
]

sync_bn = 'torch'  # where processes share the work; one process keeps BN
