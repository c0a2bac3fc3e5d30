"""Exported files against the toolboxes' own predictions."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from mmghost.deploy import export as exporting
from mmghost.deploy import quantisation
from mmghost.deploy.export import export_onnx
from mmghost.deploy.graphs import DetectorGraph, graph_of
from mmghost.deploy.parity import NO_OBJECTS, Comparison, compare, match
from mmghost.deploy.pipeline_facts import steps_of
from mmghost.deploy.runtime import Facts, FileFault, Runner
from mmghost.deploy.runtime.pictures import read_picture
from mmghost.engine.launch import load_config
from mmghost.engine.predict import Predictor
from mmghost.checks.toolbox import toolbox_of
from mmghost.errors import UserError
from mmghost.models import GhostNetClassifier
from tests.helpers import randomise

from .conftest import TOYS, build_toy, save_random

SLIDE = dict(mode='slide', crop_size=(64, 64), stride=(32, 32))
PAA = {'model.bbox_head.type': 'PAAHead', 'model.bbox_head.norm_cfg': None}
# Of each kind one in the quick tests: an export takes some five seconds.
QUICK = ('classifier', 'segmentor', 'retinanet', 'mask-rcnn')
KINDS = [
    kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow)
    for kind in TOYS
]
DETECTORS = KINDS[2:]


def picture(data: Path) -> str:
    return str(min((data / 'coco/val2017').iterdir()))


def objects(sample) -> tuple:
    found = sample.pred_instances.numpy()
    return found.bboxes, found.scores, found.labels


@pytest.fixture(
    params=['onnxruntime', pytest.param('openvino', marks=pytest.mark.slow)]
)
def backend(request) -> str:
    pytest.importorskip(request.param)
    return request.param


@pytest.mark.parametrize('kind', DETECTORS)
def test_the_file_finds_the_objects_of_image_demo(toy, data, kind, backend):
    cfg, checkpoint, export = toy(kind)
    predictor = Predictor(cfg, checkpoint, 'cpu')
    runner = Runner(export.path, backend)
    total = same = 0
    for name in sorted((data / 'coco/val2017').iterdir()):
        found, expected = runner.predict(name), objects(predictor.predict(str(name)))
        total += max(len(found.scores), len(expected[1]))
        same += match((found.boxes, found.scores, found.labels), expected)
        assert (np.diff(found.scores) <= 0).all()  # best first
        # In the picture's own pixels: the network saw 96 px of these 150.
        assert found.boxes.max() > 96
    # Overlaps and scores that almost are the threshold may be decided the other way.
    assert total >= 20 and same >= 0.95 * total, (same, total)


def test_the_file_of_a_mask_rcnn_cuts_out_the_pixels_of_image_demo(toy, data, backend):
    cfg, checkpoint, export = toy('mask-rcnn')
    assert export.facts.task == 'instance segmentation'
    sample = Predictor(cfg, checkpoint, 'cpu').predict(picture(data))
    found = Runner(export.path, backend).predict(picture(data))
    expected = sample.pred_instances.masks.numpy()
    assert found.masks.shape == expected.shape == (len(found.labels), 150, 150)
    assert expected.any(axis=(1, 2)).all()  # no test of empty masks
    # Only pixels whose probability is the threshold, to within rounding, may differ.
    assert (found.masks == expected).mean() > 0.999


def test_the_file_of_a_segmentor_labels_the_pixels_as_image_demo(toy, data, backend):
    cfg, checkpoint, export = toy('segmentor')
    sample = Predictor(cfg, checkpoint, 'cpu').predict(picture(data))
    found = Runner(export.path, backend).predict(picture(data)).labels
    expected = sample.pred_sem_seg.data[0].numpy()
    assert found.shape == expected.shape == (150, 150)
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() > 0.999


def test_the_file_of_a_classifier_is_as_sure_as_image_demo(toy, data, backend):
    cfg, checkpoint, export = toy('classifier')
    sample = Predictor(cfg, checkpoint, 'cpu').predict(picture(data))
    found = Runner(export.path, backend).predict(picture(data)).scores
    # Float32 sums in another order.
    assert np.allclose(found, sample.pred_score.numpy(), atol=1e-5)
    assert found.std() > 1e-3


def test_the_imagenet_recipe_is_exported_from_a_release_file(data, root, tmp_path):
    """Its pictures are not turned by their EXIF data, in PyTorch nor in the file."""
    network = randomise(GhostNetClassifier(0.25, num_classes=10), seed=3)
    network.classifier.weight.data.mul_(0.1)  # or one class would have score 1
    checkpoint = str(tmp_path / 'release.pth.tar')
    torch.save(network.state_dict(), checkpoint)
    cfg = load_config(
        str(root / 'configs' / 'ghostnetv2_imagenet.py'),
        {
            'model.backbone.widen_factor': 0.25,
            'model.head.in_channels': network.conv_head.in_channels,
            'model.head.num_classes': 10,
            'test_dataloader.dataset.pipeline.1.scale': 110,
            'test_dataloader.dataset.pipeline.2.crop_size': 96,
        },
    )
    export = export_onnx(cfg, checkpoint, str(tmp_path / 'a.onnx'))
    assert export.facts.orientation is False
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = str(tmp_path / 'turned.jpg')
    Image.open(picture(data)).crop((0, 0, 150, 90)).save(turned, exif=exif, quality=95)
    runner, predictor = Runner(export.path), Predictor(cfg, checkpoint, 'cpu')
    found = runner.predict(turned).scores
    expected = predictor.predict(turned).pred_score.numpy()
    assert np.allclose(found, expected, atol=1e-5)  # float32 sums in another order
    other = runner.predict(read_picture(turned, orientation=True)).scores
    assert np.abs(found - other).max() > 1e-3


@pytest.mark.parametrize('kind', KINDS)
def test_every_file_was_checked_at_several_sizes_and_batches(toy, kind):
    sizes = {c.size for c in toy(kind).export.comparisons}
    assert len(sizes) >= 4 and {n for n, *_ in sizes} >= {1, 3}


@pytest.mark.parametrize(
    ('kind', 'outputs'),
    [
        (
            'retinanet',
            {'dets': ['batch', 'objects', 5], 'labels': ['batch', 'objects']},
        ),
        ('segmentor', {'labels': ['batch', 'original_height', 'original_width']}),
    ],
)
def test_the_open_axes_of_a_file_say_what_they_follow(toy, kind, outputs):
    assert toy(kind).export.outputs == outputs


def test_a_file_that_computes_something_else_is_not_kept(toy, tmp_path, monkeypatch):
    cfg, checkpoint, _ = toy('retinanet')
    right = DetectorGraph.suppress

    def wrong(self, boxes, *rest):
        return right(self, boxes + 2, *rest)

    monkeypatch.setattr(DetectorGraph, 'suppress', wrong)
    with pytest.raises(UserError, match=r'computes something else.*not kept'):
        export_onnx(cfg, checkpoint, str(tmp_path / 'a.onnx'))
    assert not list(tmp_path.iterdir())


def test_other_scores_are_told_where_all_of_many_classes_are_small():
    sure = torch.full((1, 1000), 0.001)
    sure[0, :500] *= 1.3

    def classifier(image, mode):
        return [SimpleNamespace(pred_score=score) for score in sure]

    def compared(scores):
        runner = SimpleNamespace(
            facts=Facts(task='classification'), run=lambda feed: {'scores': scores}
        )
        (found,) = compare(classifier, None, runner, [(1, 32, 32)])
        return found.good

    assert compared(sure.numpy() * (1 + 1e-5))
    assert not compared(sure.flip(1).numpy())
    assert not compared(np.full((1, 1000), np.nan))


def test_raw_outputs_that_are_no_numbers_are_told():
    right = torch.ones(1, 4)

    class Head:
        outputs = ('a', 'b')

        def __call__(self, image):
            return right, right

    def compared(**outputs):
        runner = SimpleNamespace(
            facts=Facts('detection', raw=True), run=lambda _: outputs
        )
        (found,) = compare(None, Head(), runner, [(1, 32, 32)])
        return found.good

    ones, nans = right.numpy(), np.full((1, 4), np.nan)
    assert compared(a=ones, b=ones)
    assert not compared(a=nans, b=ones)
    assert not compared(a=ones, b=nans)


@pytest.mark.slow
def test_raw_files_give_the_outputs_of_the_head(toy, tmp_path):
    cfg, checkpoint, _ = toy('retinanet')
    out = str(tmp_path / 'raw.onnx')
    export = export_onnx(cfg, checkpoint, out, raw=True)
    kinds = ('cls_score', 'bbox_pred')
    assert list(export.outputs) == [f'{k}_{i}' for k in kinds for i in range(3)]
    assert list(export.inputs) == ['image']
    assert all(c.good and 'raw outputs' in c.words for c in export.comparisons)
    with pytest.raises(FileFault, match='raw outputs'):
        Runner(out).predict(np.zeros((99, 99, 3), np.uint8))


@pytest.mark.slow
def test_files_of_one_size_say_so_and_fill_smaller_pictures_up(toy, data, tmp_path):
    cfg, checkpoint, _ = toy('retinanet')
    out = str(tmp_path / 'fixed.onnx')
    export = export_onnx(cfg, checkpoint, out, fixed=True, size=(96, 128))
    assert export.inputs['image'] == [1, 3, 96, 128]
    runner = Runner(out)
    assert len(runner.predict(picture(data)).scores)
    high = np.zeros((300, 90, 3), np.uint8)
    runner.facts = replace(runner.facts, steps=[])
    with pytest.raises(FileFault, match=r'takes 96x128 px.*300x90'):
        runner.predict(high)


def test_a_size_that_a_trace_gets_wrong_is_refused(toy, tmp_path):
    cfg, checkpoint, export = toy('classifier')
    assert export.facts.least_side == 33
    with pytest.raises(UserError, match='33 px is the least'):
        export_onnx(cfg, checkpoint, str(tmp_path / 'a.onnx'), size=(32, 64))
    runner = Runner(export.path)
    runner.facts = replace(runner.facts, steps=[])
    runner.predict(np.zeros((33, 33, 3), np.uint8))
    with pytest.raises(FileFault, match='right from 33 px up'):
        runner.predict(np.zeros((32, 64, 3), np.uint8))


def test_just_above_the_least_size_the_trace_is_right(toy):
    """The bound of 33 px is where the network's branch is, not a guess."""
    cfg, checkpoint, export = toy('classifier')
    model = Predictor(cfg, checkpoint, 'cpu').model
    runner = Runner(export.path)
    errors = {}
    for side in (32, 33):
        x = torch.randn(1, 3, side, side)
        with torch.no_grad():
            expected = model(x, mode='predict')[0].pred_score.numpy()
        errors[side] = np.abs(
            runner.run({'image': x.numpy()})['scores'][0] - expected
        ).max()
    assert errors[33] < 1e-5 < 1e-4 < errors[32]


RATIO_4 = {'model.backbone.dfc': dict(ratio=4)}


def test_a_wider_window_of_dfc_is_exported_and_checked_above_its_least_size(
    tmp_path, data
):
    cfg = build_toy(tmp_path, 'classifier', data)
    cfg.merge_from_dict({**RATIO_4, 'test_dataloader.dataset.pipeline.1.scale': 128})
    checkpoint = save_random(cfg, tmp_path / 'random.pth')
    export = export_onnx(cfg, checkpoint, str(tmp_path / 'a.onnx'))
    assert export.facts.least_side == 97
    assert all(min(sides) >= 97 for _, *sides in (c.size for c in export.comparisons))
    expected = Predictor(cfg, checkpoint, 'cpu').predict(picture(data)).pred_score
    found = Runner(export.path).predict(picture(data)).scores
    assert np.allclose(found, expected.numpy(), atol=1e-5)  # as above


@pytest.mark.parametrize(
    ('least', 'steps', 'size'),
    [
        (33, [], (256, 320)),
        (481, [], (512, 512)),
        (225, [dict(op='resize', scale=[400, 300], keep_ratio=True)], (256, 320)),
        (33, [dict(op='center_crop', size=[224, 192])], (192, 224)),
    ],
)
def test_the_size_that_is_traced_is_never_below_the_least(least, steps, size):
    facts = Facts('classification', steps=steps, pad_divisor=32, least_side=least)
    assert exporting.input_size(facts, None, fixed=False) == size


@pytest.mark.parametrize(
    'step',
    [
        dict(op='center_crop', size=[224, 224]),
        dict(op='resize', scale=[224, 224], keep_ratio=False),
    ],
)
def test_a_pipeline_all_of_whose_pictures_are_too_small_is_refused(step):
    facts = Facts('classification', steps=[step], least_side=225)
    for fixed in (True, False):
        with pytest.raises(UserError, match=r'224x224 px; below 225 px.*dfc\.ratio'):
            exporting.input_size(facts, None, fixed)


def test_a_file_of_one_size_and_batch_takes_one_picture_too(toy, tmp_path, data):
    cfg, checkpoint, _ = toy('classifier')
    out = str(tmp_path / 'a.onnx')
    export = export_onnx(cfg, checkpoint, out, fixed=True, batch=4)
    assert export.inputs['image'] == [4, 3, 64, 64]
    assert (export.facts.batch, export.facts.size) == (4, [64, 64])
    runner = Runner(out)
    expected = Predictor(cfg, checkpoint, 'cpu').predict(picture(data)).pred_score
    found = runner.predict(picture(data)).scores
    assert np.allclose(found, expected.numpy(), atol=1e-5)  # as above
    with pytest.raises(FileFault, match=r'a\.onnx cannot be run in onnxruntime'):
        runner.run({'image': np.zeros((1, 3, 64, 64), np.float32)})


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (dict(batch=0, fixed=True), 'at least 1'),
        (dict(batch=-1), 'at least 1'),
        (dict(batch=4), 'goes with --fixed'),
        (dict(opset=9), '16 to 20'),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(tmp_path, flags, message):
    with pytest.raises(UserError, match=message):
        export_onnx(Config(), 'nothing.pth', str(tmp_path / 'a.onnx'), **flags)


@pytest.mark.parametrize(
    ('kind', 'change', 'message'),
    [
        ('segmentor', {'model.test_cfg': SLIDE}, 'mode=whole'),
        ('retinanet', {'model.test_cfg.nms.type': 'soft_nms'}, 'plain suppression'),
        ('retinanet', {'model.test_cfg.nms_pre': -1}, 'nms_pre=1000'),
        ('retinanet', PAA, r'in a way of its own.*--raw'),
    ],
)
def test_models_that_no_graph_is_right_for_are_refused(
    tmp_path, data, kind, change, message
):
    cfg = build_toy(tmp_path, kind, data)
    cfg.merge_from_dict(change)
    scope = toolbox_of(cfg).scope
    init_default_scope(scope)
    with pytest.raises(UserError, match=message):
        graph_of(MODELS.build(cfg.model), scope)


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        (dict(type='RandomFlip', prob=1.0), 'is RandomFlip, which'),
        (dict(type='Resize', scale=9, interpolation='lanczos'), 'lanczos'),
        (dict(type='CenterCrop', crop_size=9, auto_pad=True), 'crops only'),
        (dict(type='Pad', size_divisor=9, padding_mode='reflect'), 'a constant only'),
    ],
)
def test_steps_that_the_runtime_cannot_do_are_refused(tmp_path, data, step, message):
    cfg = build_toy(tmp_path, 'classifier', data)
    cfg.test_dataloader.dataset.pipeline[1] = step
    with pytest.raises(UserError, match=message):
        steps_of(cfg)


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install onnx onnxruntime'):
        exporting._check_packages()


WITHOUT_TORCH = """
import sys
for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'cv2', 'mmdet', 'onnx', 'mmghost'):
    sys.modules[name] = None  # importing them raises ImportError
sys.argv = ['run_onnx.py', *sys.argv[2:]]
import runpy
runpy.run_path(DOOR, run_name='__main__')
"""


def run_door(root: Path, *args: str) -> subprocess.CompletedProcess:
    door = str(root / 'tools/deployment/run_onnx.py')
    code = WITHOUT_TORCH.replace('DOOR', repr(door))
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    return subprocess.run(
        [sys.executable, '-c', code, '-', *args],
        capture_output=True, text=True, env=environment, cwd='/',
    )  # fmt: skip


def test_run_onnx_needs_neither_torch_nor_mmghost_nor_opencv(toy, root, data, tmp_path):
    _, _, export = toy('mask-rcnn')
    out, found = tmp_path / 'seen', tmp_path / 'found.json'
    done = run_door(
        root, export.path, str(data / 'coco/val2017'), '--out', str(out),
        '--json', str(found), '--score-thr', '0.02', '--threads', '1',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('objects of score >= 0.02') == 4
    results = json.loads(found.read_text())
    expected = Runner(export.path).predict(picture(data))
    first = results[picture(data)]
    assert np.allclose(first['boxes'], expected.boxes, atol=1e-2)
    mask = np.zeros(150 * 150, bool)
    ends = np.cumsum(first['masks'][0]['counts'])
    for start, end in zip(ends[::2], ends[1::2]):
        mask[start:end] = True
    assert np.array_equal(mask.reshape(150, 150, order='F'), expected.masks[0])
    drawn = np.asarray(Image.open(out / f'{Path(picture(data)).stem}.png')).astype(int)
    original = np.asarray(Image.open(picture(data)).convert('RGB')).astype(int)
    assert drawn.shape == original.shape and np.abs(drawn - original).max() > 30


def test_run_onnx_says_what_is_wrong_in_one_line(toy, root, data, tmp_path):
    _, _, export = toy('classifier')
    (tmp_path / 'no.jpg').write_text('no picture')
    (tmp_path / 'no.onnx').write_bytes(b'\x00no file')
    (tmp_path / 'model.xml').write_text('<?xml version="1.0"?><net></net>')
    maps, folder = str(tmp_path / 'maps'), str(data / 'coco/val2017')
    newer = str(tmp_path / 'newer.onnx')
    shutil.copy(export.path, newer)
    quantisation._relabel(newer, replace(export.facts, steps=[dict(op='rotate')]))
    cases = [
        ([export.path, str(tmp_path / 'no.jpg')], 'is not a picture'),
        ([export.path, str(tmp_path / 'nowhere.jpg')], 'No such file'),
        ([str(tmp_path / 'no.onnx'), picture(data)], 'no whole ONNX file'),
        ([export.path, picture(data), '--out', 'seen.txt'], 'pictures end in .jpg'),
        (
            [str(tmp_path / 'model.xml'), picture(data)],
            'model.xml: this is no ONNX file; export_onnx.py writes one',
        ),
        (
            [export.path, picture(data), '--label-maps', maps],
            f'--label-maps goes with segmentation; {export.path} is for classification',
        ),
        (
            [export.path, picture(data), '--score-thr', '30'],
            '--score-thr 30: scores go from 0 to 1',
        ),
        ([export.path, folder, '--out', 'one.png'], '--out one.png: name a folder for'),
        ([newer, picture(data)], "step 'rotate', which this runtime does not know"),
    ]
    for args, message in cases:
        done = run_door(root, *args)
        assert done.returncode == 1 and message in done.stderr, done.stderr
        assert 'Traceback' not in done.stderr


def test_an_export_that_compared_nothing_says_so(
    toy, root, tmp_path, monkeypatch, capsys
):
    export = replace(
        toy('retinanet').export,
        comparisons=[Comparison((1, 64, 64), NO_OBJECTS, True)] * 2,
    )
    monkeypatch.setattr(exporting, 'export_onnx', lambda *_, **__: export)
    door = str(root / 'tools/deployment/export_onnx.py')
    config = str(root / 'configs/detection/retinanet_ghostnetv2-1.0_shapes.py')
    monkeypatch.setattr(sys, 'argv', [door, config, 'no.pth', '--out', 'a.onnx'])
    warning = 'warning: nothing was compared: this checkpoint finds no objects'
    runpy.run_path(door)['main']()
    assert warning in capsys.readouterr().out
    export.comparisons[1] = Comparison((1, 64, 64), '9 of 9 objects are the same', True)
    runpy.run_path(door)['main']()
    assert warning not in capsys.readouterr().out


def test_int8_without_its_data_is_refused_before_the_export(
    root, tmp_path, monkeypatch
):
    door = str(root / 'tools/deployment/export_onnx.py')
    config = str(root / 'configs/detection/retinanet_ghostnetv2-1.0_shapes.py')
    arguments = [door, config, 'no.pth', '--out', str(tmp_path / 'a.onnx'), '--int8']
    arguments += ['--cfg-options', 'train_dataloader.dataset.data_root=nowhere']
    monkeypatch.setattr(sys, 'argv', arguments)
    words = 'there is no folder nowhere .* link or move the data there, or pass'
    with pytest.raises(UserError, match=f'train_dataloader.dataset.data_root: {words}'):
        runpy.run_path(door)['main']()


def test_results_of_a_folder_bear_the_names_of_their_pictures(root):
    results_in = runpy.run_path(str(root / 'tools/deployment/run_onnx.py'))[
        'results_in'
    ]
    pictures = [root / name for name in ('a.jpg', 'a.png', 'b.jpg', 'c/b.jpg')]
    expected = [Path(f'out/{name}.png') for name in ('a.jpg', 'a.png', 'b', 'c/b')]
    assert results_in('out', pictures, root) == expected


def test_int8_by_no_pictures_is_refused_before_the_export(root, tmp_path, monkeypatch):
    door = str(root / 'tools/deployment/export_onnx.py')
    out = str(tmp_path / 'a.onnx')
    arguments = [door, 'no_config.py', 'no.pth', '--out', out, '--int8', '0']
    monkeypatch.setattr(sys, 'argv', arguments)
    with pytest.raises(UserError, match='--int8 0: at least one picture'):
        runpy.run_path(door)['main']()


def test_run_onnx_draws_into_a_file_without_an_ending_or_a_folder(
    toy, root, data, tmp_path
):
    _, _, export = toy('classifier')
    for out, written in ((tmp_path / 'seen', 'seen.png'), (tmp_path, '0*.png')):
        done = run_door(root, export.path, picture(data), '--out', str(out))
        assert done.returncode == 0, done.stderr
        assert len(list(tmp_path.glob(written))) == 1
