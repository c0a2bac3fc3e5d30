# MobileNetV2 1.0 on ImageNet-1k by GhostNetV2's recipe: the row without attention of the
# GhostNetV2 paper's table 5. The paper does not say by which recipe its rows were trained.
#   bash tools/dist_train.sh projects/ablation/configs/mobilenet-v2_8xb128_in1k.py 8
# Numbers: not trained by this project; see projects/ablation/README.md.
_base_ = '../../../configs/classification/ghostnetv2-1.0_8xb128_in1k.py'
custom_imports = dict(
    imports=['mmghost', 'mmghost.recipes.preprocessing', 'projects.ablation'],
    allow_failed_imports=False)

model = dict(
    backbone=dict(_delete_=True, type='AttentionMobileNetV2'),
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=1000,
        in_channels=1280,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        topk=(1, 5)))
