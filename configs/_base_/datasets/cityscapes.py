# Cityscapes as in mmseg: 19 classes, 2048x1024 px, in training scaled by 0.5 to 2 and
# cropped to 512x1024; 2 images per GPU. data/cityscapes holds leftImg8bit/{train,val}
# and gtFine/{train,val} with the *_gtFine_labelTrainIds.png of mmseg's converter.
_base_ = './ade20k.py'
dataset = dict(type='CityscapesDataset', data_root='data/cityscapes/')

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(512, 1024), cat_max_ratio=0.75),
    *_base_.train_pipeline[4:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
    *_base_.test_pipeline[2:],
]

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    dataset=dict(
        data_prefix=dict(
            img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    dataset=dict(
        data_prefix=dict(
            img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
        **dataset))
test_dataloader = val_dataloader
