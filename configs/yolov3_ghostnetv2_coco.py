# Short name of the YOLOv3 with GhostNetV2 1.0 on COCO; what it reproduces stands there.
_base_ = './detection/yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco.py'
