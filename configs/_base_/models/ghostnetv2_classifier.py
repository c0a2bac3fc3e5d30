# GhostNetV2 1.0 as a classifier of mmpretrain. The layers after the pooling are those
# of the release: 1280 channels at every width, ReLU, dropout 0.2, linear. Files of the
# release, timm and MindSpore can be given as load_from= (docs/weights.md).
model = dict(
    type='ImageClassifier',
    backbone=dict(type='GhostNetV2', widen_factor=1.0, out_indices=(5,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='StackedLinearClsHead',
        num_classes=1000,
        in_channels=960,
        mid_channels=[1280],
        dropout_rate=0.2,
        act_cfg=dict(type='ReLU'),
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5)))
