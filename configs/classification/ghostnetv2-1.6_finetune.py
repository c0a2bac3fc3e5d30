# Fine-tuning GhostNetV2 1.6 on your own images; see ghostnetv2-1.0_finetune.py.
_base_ = './ghostnetv2-1.0_finetune.py'

model = dict(backbone=dict(widen_factor=1.6), head=dict(in_channels=1536))
load_from = (
    'https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/'
    'GhostNetV2/ck_ghostnetv2_16.pth.tar')
