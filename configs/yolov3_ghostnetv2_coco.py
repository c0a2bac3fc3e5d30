# Short name of YOLOv3 with GhostNetV2 1.0 on COCO, explained in its base.
_base_ = './detection/yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py'
