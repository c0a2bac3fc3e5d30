# YOLOv3 with GhostNetV2 1.0 on COCO at 320 px: the recipe of mmdet's zoo
# (yolov3_mobilenetv2_8xb24-320-300e_coco) with another backbone. It differs from
# yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py in input size and anchors; weights and
# training from scratch are explained there. 8 GPUs x 24 images.
# GhostNetV3's weights (docs/weights.md):
#   --cfg-options model.backbone.type=GhostNetV3
#                 model.backbone.init_cfg.checkpoint=timm/ghostnetv3_100.in1k
# Numbers: AP 22.3 is quoted from the paper (unconfirmed: not seen in a source here);
# the MobileNetV2 of the zoo has 22.2. MACs of the whole classifier at 320 px, counted
# by this project: 341 M, and 612 M for MobileNetV2, for which the zoo lists none.
_base_ = './yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py'

model = dict(
    bbox_head=dict(
        anchor_generator=dict(
            base_sizes=[[(220, 125), (128, 222), (264, 266)],
                        [(35, 87), (102, 96), (60, 170)],
                        [(10, 15), (24, 36), (72, 42)]])))

# The resize is the fifth step of training and the second of testing.
resize = dict(type='Resize', scale=(320, 320), keep_ratio=True)
train_pipeline = [*_base_.train_pipeline[:4], resize, *_base_.train_pipeline[5:]]
test_pipeline = [_base_.test_pipeline[0], resize, *_base_.test_pipeline[2:]]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
