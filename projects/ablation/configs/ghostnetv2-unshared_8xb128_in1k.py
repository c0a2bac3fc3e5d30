# GhostNetV2 1.0 on ImageNet-1k, DFC attention as in the paper's equations: each position
# has weights of its own for its column and its row, in place of 1x5 and 5x1 convolutions.
#   bash tools/dist_train.sh projects/ablation/configs/ghostnetv2-unshared_8xb128_in1k.py 8
# Numbers: not trained by this project; see projects/ablation/README.md.
_base_ = '../../../configs/classification/ghostnetv2-1.0_8xb128_in1k.py'
custom_imports = dict(
    imports=['mmghost', 'mmghost.recipes.preprocessing', 'projects.ablation'],
    allow_failed_imports=False)

model = dict(backbone=dict(type='UnsharedGhostNetV2', image_size=224))
