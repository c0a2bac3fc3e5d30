"""The fast evaluation of COCO gives the numbers of pycocotools, to the last digit."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
fast, ann_file = sys.argv[1] == 'fast', sys.argv[2]
if fast:
    import mmghost.engine.fast_coco
import numpy as np, torch
import mmghost
from mmdet.evaluation import CocoMetric
from mmdet.datasets.api_wrappers import coco_api
metric = CocoMetric(ann_file=ann_file, metric=['bbox', 'segm'], classwise=True)
content = json.load(open(ann_file))
names = [category['name'] for category in content['categories']]
ids = [category['id'] for category in content['categories']]
metric.dataset_meta = dict(classes=names)
chance = np.random.default_rng(0)
for image in content['images']:
    found = [e for e in content['annotations'] if e['image_id'] == image['id']] * 2
    shape = (image['height'], image['width'])
    boxes = np.array([e['bbox'] for e in found]).reshape(-1, 4)
    boxes = boxes * chance.normal(1, 0.1, boxes.shape)
    boxes[:, 2:] += boxes[:, :2]
    labels = [ids.index(e['category_id']) if chance.random() < 0.8 else 0 for e in found]
    masks = np.zeros((len(found), *shape), np.uint8)
    for mask, (x, y, right, bottom) in zip(masks, boxes.round().astype(int)):
        mask[max(0, y):bottom, max(0, x):right] = 1
    masks[:, 0, 0] = 1
    metric.process({}, [dict(
        img_id=image['id'], ori_shape=shape,
        pred_instances=dict(
            bboxes=torch.tensor(boxes), labels=torch.tensor(labels),
            scores=torch.tensor(chance.random(len(found)).round(2)),
            masks=torch.tensor(masks)))])
module = type(metric).__mro__[0].__module__
used = sys.modules[module].COCOeval.__mro__
print('>', json.dumps(dict(metric.evaluate(len(content['images'])))))
print('>', any('faster' in cls.__module__ for cls in used))
"""


@pytest.mark.slow
def test_the_fast_evaluation_gives_the_same_numbers_and_is_in_use(shapes):
    pytest.importorskip('faster_coco_eval')
    found = {}
    for way in ('fast', 'usual'):
        done = subprocess.run(
            [
                sys.executable, '-W', 'ignore', '-c', SCRIPT, way,
                str(shapes / 'coco/annotations/instances_train2017.json'),
            ],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = [line[1:] for line in done.stdout.splitlines() if line.startswith('>')]
        found[way] = json.loads(lines[0])
        assert lines[1].strip() == str(way == 'fast')
    assert found['fast'] == found['usual']
    assert 0.05 < found['usual']['coco/bbox_mAP'] < 0.95
    assert len(found['usual']) > 12  # by size, and by class
