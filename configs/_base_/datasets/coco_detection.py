# COCO 2017 boxes as in mmdet: shorter side 800 px, longer side at most 1333 px,
# horizontal flips, 2 images per GPU. data/coco holds annotations/instances_*.json,
# train2017/ and val2017/.
_base_ = 'mmdet::_base_/datasets/coco_detection.py'
