# Sign Language Digits (Mavi 2020, arXiv:2011.08927), 10 classes, 100x100 px, in
# data/sign_digits: 1653 pictures in train/0 to train/9, 409 in val/. Seen at 96 px.
_base_ = './image_folders.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96)),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root='data/sign_digits', pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root='data/sign_digits', pipeline=test_pipeline))
test_dataloader = val_dataloader
