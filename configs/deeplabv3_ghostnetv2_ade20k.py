# Short name of DeepLabV3 with GhostNetV2 1.0 on ADE20K, explained in its base.
_base_ = './segmentation/ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512.py'
