# Fine-tuning GhostNetV2 1.0 on pictures of one's own: data/mine/train/CLASS/*.jpg and
# data/mine/val/CLASS/*.jpg, one process, 30 epochs. Start from it with a config of five
# lines (docs/finetune.md), or straight away:
#   python tools/train.py configs/classification/ghostnetv2-1.0_finetune.py \
#       --cfg-options model.head.num_classes=3
# Weights: the authors' file, all but its last layer. Another start:
#   --cfg-options load_from=PATH      none, from scratch: load_from=None
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
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
load_from = (
    'https://github.com/huawei-noah/Efficient-AI-Backbones/releases/download/'
    'GhostNetV2/ck_ghostnetv2_10.pth.tar')
