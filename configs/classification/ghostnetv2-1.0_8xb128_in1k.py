# GhostNetV2 1.0 on ImageNet-1k by the recipe of the release: 8 GPUs x 128 images, 450
# epochs, from scratch (docs/training.md).
#   bash tools/dist_train.sh configs/classification/ghostnetv2-1.0_8xb128_in1k.py 8
# The evaluation is that of timm, which measured 75.19 / 92.33 with the released
# weights:
#   python tools/test.py configs/classification/ghostnetv2-1.0_8xb128_in1k.py \
#       ck_ghostnetv2_10.pth.tar
# Numbers: top-1 75.3 in the release; not trained by this project.
_base_ = [
    '../_base_/models/ghostnetv2_classifier.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet_450e.py',
    '../_base_/runtimes/classification.py',
]
custom_imports = dict(imports=['mmghost', 'mmghost.recipes.preprocessing'])

model = dict(head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)))

# The best checkpoint and the last ten. timm keeps the ten best ones, which
# CheckpointHook cannot do; the best one is the same.
default_hooks = dict(checkpoint=dict(max_keep_ckpts=10, save_best='accuracy/top1'))
env_cfg = dict(cudnn_benchmark=True)
randomness = dict(seed=42, diff_rank_seed=True)
