# Short name of the DeepLabV3 with GhostNetV2 1.0 on ADE20K; what it reproduces stands
# there.
_base_ = './segmentation/ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py'
