"""Measuring exported files on a test set."""

import inspect
import logging
from copy import deepcopy

import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from mmghost.deploy import quantisation
from mmghost.deploy.evaluation import evaluate
from mmghost.deploy.runtime import Detections, Runner
from mmghost.engine.launch import prepare_test, run_test
from mmghost.errors import UserError


@pytest.mark.parametrize(
    'kind', ['segmentor', pytest.param('classifier', marks=pytest.mark.slow)]
)
def test_the_metrics_are_those_of_tools_test(toy, tmp_path, kind):
    cfg, checkpoint, export = toy(kind)
    cfg = deepcopy(cfg)
    steps = cfg.test_dataloader.dataset.pipeline
    if kind == 'segmentor':  # labels in the picture's own size, as in all configs
        steps[1], steps[2] = steps[2], steps[1]
    found = evaluate(deepcopy(cfg), export.path, threads=1)
    cfg.work_dir = str(tmp_path)
    expected = run_test(prepare_test(cfg, checkpoint))
    assert expected and set(found) == {*expected, 'ms'}
    for name, value in expected.items():
        # In per cent, of 4 pictures: one pixel of 90 000 may fall the other way.
        assert found[name] == pytest.approx(value, abs=0.02), name


def test_boxes_in_the_picture_s_own_pixels_are_what_the_metric_wants(toy, monkeypatch):
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
            boxes = np.array([i['bbox'] for i in truth[path]], np.float32).reshape(
                -1, 4
            )
            labels = np.array([i['bbox_label'] for i in truth[path]])
            return Detections(boxes + shift, np.full(len(labels), 0.9), labels)

        return predict

    scores = []
    for shift in (0, 3):
        monkeypatch.setattr(Runner, 'predict', predict(shift))
        found = evaluate(deepcopy(cfg), export.path)
        scores.append(found['coco/bbox_mAP'])
    assert scores[0] == 1.0 and scores[1] < 0.9


def test_a_file_for_other_classes_is_refused(toy):
    cfg, _, export = toy('retinanet')
    cfg = deepcopy(cfg)
    cfg.test_dataloader.dataset.metainfo = dict(classes=('cat', 'dog'))
    with pytest.raises(UserError, match=r'knows 8 classes .* the test set 2'):
        evaluate(cfg, export.path)


def test_data_that_are_not_there_are_told_as_by_tools_train(toy, tmp_path):
    cfg, _, export = toy('retinanet')
    cfg = deepcopy(cfg)
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'nowhere')
    words = 'test_dataloader.dataset.data_root: there is no folder .* link or move the'
    with pytest.raises(UserError, match=words):
        evaluate(cfg, export.path)
    cfg.train_dataloader.dataset.ann_file = 'gone.json'
    with pytest.raises(UserError, match=r'dataset\.ann_file: there is no file .*gone'):
        quantisation.training_pictures(cfg, 2)


def test_only_the_quantisers_advice_is_left_out(caplog):
    from onnxruntime.quantization import quantize_static

    advice = 'Please consider to run pre-processing before quantization'
    assert f'"{advice}' in inspect.getsource(quantize_static)
    with quantisation.without_advice():
        logging.warning(advice)
        logging.warning('another warning')
    assert caplog.messages == ['another warning']
    logging.warning(advice)
    assert caplog.messages[1:] == [advice]


@pytest.mark.slow  # ONNX Runtime's quantiser takes its time
def test_int8_computes_nearly_the_same_with_pictures_of_the_training_set(
    toy, tmp_path, monkeypatch, caplog
):
    import onnx

    cfg, _, export = toy('classifier')
    seen = []
    read = quantisation.read_picture
    monkeypatch.setattr(
        quantisation,
        'read_picture',
        lambda path, *more: seen.append(path) or read(path, *more),
    )
    out = str(tmp_path / 'int8.onnx')
    done = quantisation.quantise(deepcopy(cfg), export.path, pictures=2, out=out)
    assert done == (out, 2)
    assert 'pre-processing' not in caplog.text
    assert len(seen) == 2 and all('/imagenet/train/' in path for path in seen)

    graph = onnx.load(out).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    convs = [node for node in graph.node if node.op_type == 'Conv']
    assert len(convs) > 50
    assert all(
        makers[name] == 'DequantizeLinear' for c in convs for name in c.input[:2]
    )

    runner = Runner(out)
    assert runner.facts.precision == 'int8'
    assert runner.facts.classes == export.facts.classes
    exact, found = (
        np.stack([Runner(path).predict(picture).scores for picture in seen])
        for path in (export.path, out)
    )
    # 7 bits a weight over some fifty layers, whose random weights amplify errors.
    assert 0 < np.abs(found - exact).max() < 0.5 * (exact.max() - exact.min())
    with pytest.raises(UserError, match='in int8 already'):
        quantisation.quantise(deepcopy(cfg), out)
