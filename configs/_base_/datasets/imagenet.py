# ImageNet-1k with the transforms of timm, which the release trains with
# (docs/training.md names the test of each line). data/imagenet holds train/ and val/
# with one folder per class, or meta/train.txt and meta/val.txt beside them. As in timm,
# Pillow decodes and EXIF rotations are ignored. 8 GPUs x 128 images.
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]

# Random erasing fills with N(0, 1) and so works on the normalized batch. The type needs
# custom_imports = dict(imports=['mmghost', 'mmghost.recipes.preprocessing']).
data_preprocessor = dict(
    type='ErasingDataPreprocessor',
    mean=mean,
    std=std,
    to_rgb=True,
    erasing=dict(probability=0.2, mode='pixel'))

load = dict(
    type='LoadImageFromFile',
    color_type='color_ignore_orientation',
    imdecode_backend='pillow')
train_pipeline = [
    load,
    # 8 to 100 % of the area, 3:4 to 4:3, bilinear or bicubic at random.
    dict(
        type='RandomChoice',
        transforms=[
            [dict(
                type='RandomResizedCrop',
                scale=224,
                backend='pillow',
                interpolation=interpolation)]
            for interpolation in ('bilinear', 'bicubic')
        ]),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    # rand-m9-mstd0.5; uncovered pixels get the mean color.
    dict(
        type='mmghost.TimmRandAugment',
        magnitude=9,
        magnitude_std=0.5,
        fill=tuple(round(value) for value in mean)),
    dict(type='PackInputs'),
]
test_pipeline = [
    load,
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow',
         interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=7,
    # New workers every epoch would cost time and, without ExactResumeHook, draw the
    # same crops again.
    persistent_workers=True,
    drop_last=True,
    dataset=dict(
        type='ImageNet',
        data_root='data/imagenet',
        split='train',
        pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=128,
    num_workers=7,
    persistent_workers=True,
    dataset=dict(
        type='ImageNet',
        data_root='data/imagenet',
        split='val',
        pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
