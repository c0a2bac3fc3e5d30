# GhostNetV2 1.0 on ImageNet-1k by the authors' recipe: 8 GPUs x 128 pictures, 450 epochs,
# from random weights.
#   bash tools/dist_train.sh configs/classification/ghostnetv2-1.0_8xb128_in1k.py 8
# Evaluating the authors' weights (timm measured 75.19 / 92.33 with them, and this is
# timm's evaluation):
#   python tools/test.py configs/classification/ghostnetv2-1.0_8xb128_in1k.py \
#       ck_ghostnetv2_10.pth.tar
# Numbers: the authors report top-1 75.3; not trained by this project.
_base_ = [
    '../_base_/models/ghostnetv2_classifier.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet_450e.py',
    '../_base_/runtimes/classification.py',
]
custom_imports = dict(imports=['mmghost', 'mmghost.datasets.preprocessing'])

model = dict(head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)))

# The last ten epochs and the best one.
default_hooks = dict(checkpoint=dict(max_keep_ckpts=10, save_best='accuracy/top1'))
env_cfg = dict(cudnn_benchmark=True)
randomness = dict(seed=42, diff_rank_seed=True)
