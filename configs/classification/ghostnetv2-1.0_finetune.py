# Fine-tuning GhostNetV2 1.0 on your own images: data/mine/train/CLASS/*.jpg and
# data/mine/val/CLASS/*.jpg, one process, 30 epochs. Derive a config of five lines from
# it (docs/finetune.md), or use it directly:
#   python tools/train.py configs/classification/ghostnetv2-1.0_finetune.py \
#       --cfg-options model.head.num_classes=3
# Weights: the release, without its last layer. Another file: --cfg-options
# load_from=PATH; from scratch: --cfg-options load_from=None
# Numbers: depend on your data.
_base_ = [
    '../_base_/models/ghostnetv2_classifier.py',
    '../_base_/datasets/image_folders.py',
    '../_base_/schedules/finetune_30e.py',
    '../_base_/runtimes/classification.py',
]

model = dict(
    head=dict(
        num_classes=2,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        topk=(1, )))
# A training step on a CPU is 1.3 times as fast. Also faster on GPUs with --amp.
custom_hooks = [dict(type='mmghost.ChannelsLastHook')]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
load_from = (
    'https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/'
    'GhostNetV2/ck_ghostnetv2_10.pth.tar')
