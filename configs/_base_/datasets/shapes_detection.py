# The generated Shapes dataset with boxes: 1000 images to train on, 100 to test on, at
# 128 px. Each of the 6 classes has its own shape and hue, so that a small detector
# learns them in minutes. `make demo` makes its own; here:
#   python tools/dataset_tools/make_shapes.py data/shapes --only coco --classes \
#       blue-plain-cross cyan-plain-crescent green-plain-square orange-plain-ring \
#       purple-plain-star red-plain-circle
_base_ = 'mmdet::_base_/datasets/coco_detection.py'
data_root = 'data/shapes/coco/'
metainfo = dict(
    classes=('blue-plain-cross', 'cyan-plain-crescent', 'green-plain-square',
             'orange-plain-ring', 'purple-plain-star', 'red-plain-circle'))

resize = dict(type='Resize', scale=(128, 128), keep_ratio=True)
flip = dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical'])
train_pipeline = [
    *_base_.train_pipeline[:2], resize, flip, _base_.train_pipeline[-1]]
test_pipeline = [_base_.test_pipeline[0], resize, *_base_.test_pipeline[2:]]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    drop_last=True,
    batch_sampler=None,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        filter_cfg=dict(_delete_=True, filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
