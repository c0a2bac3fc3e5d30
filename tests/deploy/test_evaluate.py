"""Exported files on a test set, and in int8."""

import json
import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import pytest

from mmghost.deploy import quantize as quantizing
from mmghost.deploy.evaluate import evaluate
from mmghost.deploy.quantize import quantize, training_images
from mmghost.deploy.runtime import Detections, Runner
from mmghost.engine.launch import prepare_test, run_test
from mmghost.errors import UserError


@pytest.mark.parametrize('kind', ['segmentor', 'classifier'])
def test_the_metrics_are_those_of_tools_test(toy, tmp_path, kind):
    cfg, checkpoint, export = toy(kind)
    cfg = deepcopy(cfg)
    steps = cfg.test_dataloader.dataset.pipeline
    if kind == 'segmentor':  # labels at the size of the image, as in all configs
        steps[1], steps[2] = steps[2], steps[1]
    found = evaluate(deepcopy(cfg), export.path, threads=1)
    assert json.loads(json.dumps(found)) == found  # as test_model.py --json writes it
    cfg.work_dir = str(tmp_path)
    expected = run_test(prepare_test(cfg, checkpoint))
    assert expected and set(found) == {*expected, 'ms'}
    for name, value in expected.items():
        # In percent, of 4 images: one pixel of 90,000 may fall the other way.
        assert found[name] == pytest.approx(value, abs=0.02), name


def test_the_metric_gets_boxes_in_px_of_the_image(toy, monkeypatch):
    from mmengine.registry import DATASETS, init_default_scope

    cfg, _, export = toy('retinanet')
    init_default_scope('mmdet')
    dataset = DATASETS.build(deepcopy(cfg.test_dataloader.dataset))
    truth = {
        info['img_path']: info['instances']
        for info in map(dataset.get_data_info, range(len(dataset)))
    }

    def predict(shift):
        def predict(self, path):
            boxes = np.float32([i['bbox'] for i in truth[path]]).reshape(-1, 4)
            labels = np.array([i['bbox_label'] for i in truth[path]])
            return Detections(boxes + shift, np.full(len(labels), 0.9), labels)

        return predict

    scores = []
    for shift in (0, 3):
        monkeypatch.setattr(Runner, 'predict', predict(shift))
        found = evaluate(deepcopy(cfg), export.path)
        scores.append(found['coco/bbox_mAP'])
    assert scores[0] == 1.0 and scores[1] < 0.9


def test_files_and_data_that_do_not_fit_are_refused(toy, tmp_path):
    cfg, _, export = toy('retinanet')
    other = deepcopy(cfg)
    other.test_dataloader.dataset.metainfo = dict(classes=('circle', 'star'))
    with pytest.raises(UserError, match=r'has 8 classes .* the test set 2'):
        evaluate(other, export.path)
    other = deepcopy(cfg)
    other.test_dataloader.dataset.data_root = str(tmp_path / 'nowhere')
    with pytest.raises(UserError, match=r'test_dataloader\.dataset.*: there is no'):
        evaluate(other, export.path)


def test_int8_computes_nearly_the_same(toy, tmp_path):
    cfg, _, export = toy('classifier')
    path = shutil.copy(export.path, tmp_path / 'a.onnx')
    out, before, after = quantize(deepcopy(cfg), str(path), images=2, max_drop=100)
    assert out == str(tmp_path / 'a_int8.onnx') and before.keys() == after.keys()

    graph = onnx.load(out).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    first, *convs = [node for node in graph.node if node.op_type == 'Conv']
    assert first.input[0] == 'image' and first.input[1] not in makers  # in float32
    assert len(convs) > 50
    assert all(
        makers[name] == 'DequantizeLinear' for c in convs for name in c.input[:2]
    )

    runner = Runner(out)
    assert runner.metadata.precision == 'int8'
    assert runner.metadata.classes == export.metadata.classes
    images = training_images(cfg, 2)
    assert len(images) == 2 and all('/imagenet/train/' in path for path in images)
    exact, found = (
        np.stack([Runner(path).predict(image).scores for image in images])
        for path in (export.path, out)
    )
    # 8 bits over some fifty layers, whose random weights amplify errors.
    assert 0 < np.abs(found - exact).max() < 0.5 * np.ptp(exact)
    with pytest.raises(UserError, match='in int8 already'):
        quantize(deepcopy(cfg), out)


def test_int8_that_loses_more_than_max_drop_is_not_kept(toy, monkeypatch, tmp_path):
    cfg, _, export = toy('classifier')
    path = str(shutil.copy(export.path, tmp_path / 'a.onnx'))
    scores = iter([0.360, 0.352] * 2)
    monkeypatch.setattr(
        quantizing, 'evaluate', lambda *_: {'ms': 1.0, 'coco/bbox_mAP': next(scores)}
    )
    monkeypatch.setitem(
        quantizing.QUANTIZERS, '.onnx', lambda path, inputs, out, *_: Path(out).touch()
    )
    with pytest.raises(UserError, match=r'loses 0\.80 points .* --max-drop 0\.5: not'):
        quantize(cfg, path, 2, max_drop=0.5)
    assert [file.name for file in tmp_path.iterdir()] == ['a.onnx']
    out, before, after = quantize(cfg, path, 2, max_drop=1.0)
    assert (before['coco/bbox_mAP'], after['coco/bbox_mAP']) == (0.360, 0.352)
    assert Path(out).exists()
