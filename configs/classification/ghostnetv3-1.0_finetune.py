# Fine-tuning GhostNetV3 1.0 on your own images: ghostnetv2-1.0_finetune.py with the
# branches of V3 (2.4 times the MACs while training). Fold them at the end:
#   python tools/model_converters/switch_to_deploy.py CONFIG CHECKPOINT OUT
# Weights: the release's average (EMA), without its last layer.
# Numbers: depend on your data.
_base_ = './ghostnetv2-1.0_finetune.py'

model = dict(backbone=dict(type='GhostNetV3'))
load_from = (
    'https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/'
    'GhostNetV3/ghostnetv3-1.0.pth.tar')
