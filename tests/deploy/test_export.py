"""Exported files against the toolboxes' own predictions, and what is refused."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from mmghost.checks.toolbox import scope_of
from mmghost.deploy import graphs
from mmghost.deploy.converters import write_metadata
from mmghost.deploy.export import input_size
from mmghost.deploy.graphs import build_graph
from mmghost.deploy.metadata import infer_steps
from mmghost.deploy.parity import match
from mmghost.deploy.runtime import FileError, ModelMetadata, Runner
from mmghost.deploy.runtime.images import read_image
from mmghost.engine.building import build_model
from mmghost.engine.launch import load_config
from mmghost.engine.predict import Predictor
from mmghost.errors import UserError
from mmghost.models import GhostNetClassifier
from tests.helpers import randomize

from .conftest import TOYS, build_toy, export_onnx, save_random

# One of each kind in the quick tests: an export takes some five seconds.
QUICK = ('classifier', 'segmentor', 'retinanet', 'mask-rcnn')
KINDS = [
    kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow)
    for kind in TOYS
]
BACKENDS = pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])


def first_image(data: Path) -> str:
    return str(min((data / 'coco/val2017').iterdir()))


@BACKENDS
@pytest.mark.parametrize('kind', KINDS[2:])
def test_the_file_finds_the_objects_of_image_demo(toy, data, kind, backend):
    cfg, checkpoint, export = toy(kind)
    predictor = Predictor(cfg, checkpoint, 'cpu')
    runner = Runner(export.path, backend)
    total = same = 0
    for path in sorted((data / 'coco/val2017').iterdir()):
        found = runner.predict(path)
        wanted = predictor.predict(str(path)).pred_instances.numpy()
        total += max(len(found.scores), len(wanted))
        theirs = wanted.bboxes, wanted.scores, wanted.labels
        same += match((found.boxes, found.scores, found.labels), theirs)
        assert (np.diff(found.scores) <= 0).all()  # best first
        # In px of the image: the network saw 96 px of these 150.
        assert found.boxes.max() > 96
        if kind == 'mask-rcnn' and len(found.scores) == len(wanted):
            assert found.masks.shape == wanted.masks.shape and wanted.masks.any()
            # Pixels whose probability is almost the threshold may differ.
            assert (found.masks == wanted.masks).mean() > 0.999
    # Overlaps and scores that are almost the threshold may be decided the other way.
    assert total >= 20 and same >= 0.95 * total, (same, total)


@BACKENDS
def test_the_file_of_a_segmentor_labels_the_pixels_as_image_demo(toy, data, backend):
    cfg, checkpoint, export = toy('segmentor')
    sample = Predictor(cfg, checkpoint, 'cpu').predict(first_image(data))
    found = Runner(export.path, backend).predict(first_image(data)).labels
    expected = sample.pred_sem_seg.data[0].numpy()
    assert found.shape == expected.shape == (150, 150)
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() > 0.999  # logits that are almost equal


@BACKENDS
def test_the_file_of_a_classifier_has_the_scores_of_image_demo(toy, data, backend):
    cfg, checkpoint, export = toy('classifier')
    sample = Predictor(cfg, checkpoint, 'cpu').predict(first_image(data))
    found = Runner(export.path, backend).predict(first_image(data)).scores
    # Float32 sums in another order.
    assert np.allclose(found, sample.pred_score.numpy(), atol=1e-5)
    assert found.std() > 1e-3


def test_the_imagenet_recipe_is_exported_from_a_release_file(data, root, tmp_path):
    """Its images are not turned by their EXIF tag, in PyTorch nor in the file."""
    network = randomize(GhostNetClassifier(0.25, num_classes=10), seed=2)
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
    assert export.metadata.orientation is False
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = str(tmp_path / 'turned.jpg')
    image = Image.open(first_image(data)).crop((0, 0, 150, 90))
    image.save(turned, exif=exif, quality=95)
    runner, predictor = Runner(export.path), Predictor(cfg, checkpoint, 'cpu')
    found = runner.predict(turned).scores
    expected = predictor.predict(turned).pred_score.numpy()
    assert np.allclose(found, expected, atol=1e-5)  # float32 sums in another order
    other = runner.predict(read_image(turned, orientation=True)).scores
    assert np.abs(found - other).max() > 1e-3


def test_files_are_compared_at_several_sizes_and_batches(toy):
    for kind, outputs in (
        (
            'retinanet',
            {'dets': ['batch', 'objects', 5], 'labels': ['batch', 'objects']},
        ),
        ('segmentor', {'labels': ['batch', 'original_height', 'original_width']}),
    ):
        export = toy(kind).export
        sizes = {c.size for c in export.comparisons}
        assert len(sizes) >= 4 and {n for n, *_ in sizes} >= {1, 3}
        session = Runner(export.path, 'onnxruntime').network.session
        assert {entry.name: entry.shape for entry in session.get_outputs()} == outputs


def test_a_file_that_computes_something_else_is_not_kept(toy, tmp_path, monkeypatch):
    cfg, checkpoint, _ = toy('retinanet')
    right = graphs.nms
    monkeypatch.setattr(graphs, 'nms', lambda boxes, *rest: right(boxes + 2, *rest))
    with pytest.raises(
        UserError, match=r'does not compute what the model does.*not kept'
    ):
        export_onnx(cfg, checkpoint, str(tmp_path / 'a.onnx'))
    assert not list(tmp_path.iterdir())
    boxes, one, mask = np.ones((1, 4)), np.ones(1), np.eye(20, dtype=bool)[None]
    assert match((boxes, one, one, mask), (boxes, one, one, mask)) == 1
    assert match((boxes, one, one, mask), (boxes, one, one, ~mask)) == 0


def test_raw_files_leave_nms_to_the_runner(toy, data, tmp_path):
    cfg, checkpoint, whole = toy('retinanet')
    export = export_onnx(cfg, checkpoint, tmp_path / 'raw.onnx', raw=True)
    runner = Runner(export.path)
    assert runner.network.outputs == ['scores', 'boxes']
    assert all(c.close and 'outputs differ' in c.result for c in export.comparisons)
    (found, wanted) = (
        r.predict(first_image(data)) for r in (runner, Runner(whole.path))
    )
    ours, theirs = ((r.boxes, r.scores, r.labels) for r in (found, wanted))
    assert match(ours, theirs) >= 0.9 * len(wanted.scores) > 0


def test_files_of_one_size_and_batch_pad_and_repeat_an_image(toy, data, tmp_path):
    cfg, checkpoint, _ = toy('classifier')
    out = str(tmp_path / 'a.onnx')
    export = export_onnx(cfg, checkpoint, out, fixed=4)
    assert (export.metadata.batch, export.metadata.size) == (4, [64, 64])
    runner, predictor = Runner(out), Predictor(cfg, checkpoint, 'cpu')
    expected = predictor.predict(first_image(data)).pred_score.numpy()
    found = runner.predict(first_image(data)).scores
    assert np.allclose(found, expected, atol=1e-5)  # float32 sums in another order
    with pytest.raises(FileError, match=r'a\.onnx cannot be run in onnxruntime'):
        runner.run({'image': np.zeros((1, 3, 64, 64), np.float32)})
    runner.metadata = replace(runner.metadata, steps=[])
    assert runner.predict(np.zeros((40, 64, 3), np.uint8)).scores.shape == (8,)
    with pytest.raises(FileError, match=r'takes 64x64 px.*300x60'):
        runner.predict(np.zeros((300, 60, 3), np.uint8))


def test_a_trace_is_right_from_33_px_up_and_refuses_smaller_images(toy):
    """The bound is where the network pools another way, not a guess."""
    cfg, checkpoint, export = toy('classifier')
    model, runner = Predictor(cfg, checkpoint, 'cpu').model, Runner(export.path)
    errors = {}
    for side in (32, 33):
        x = torch.randn(1, 3, side, side)
        with torch.no_grad():
            expected = model(x, mode='predict')[0].pred_score.numpy()
        found = runner.run({'image': x.numpy()})['scores'][0]
        errors[side] = np.abs(found - expected).max()
    assert errors[33] < 1e-5 < 1e-4 < errors[32]
    runner.metadata = replace(runner.metadata, steps=[])
    runner.predict(np.zeros((33, 33, 3), np.uint8))
    with pytest.raises(FileError, match='right from 33 px up'):
        runner.predict(np.zeros((32, 64, 3), np.uint8))


def test_a_wider_window_of_dfc_is_compared_above_its_least_side(tmp_path, data):
    cfg = build_toy(tmp_path, 'classifier', data)
    cfg.model.backbone.dfc = dict(ratio=4)
    cfg.test_dataloader.dataset.pipeline[1].scale = 128
    checkpoint = save_random(cfg, tmp_path / 'random.pth')
    export = export_onnx(cfg, checkpoint, str(tmp_path / 'a.onnx'))
    assert export.metadata.least_side == 97
    assert all(min(c.size[1:]) >= 97 for c in export.comparisons)


@pytest.mark.parametrize(
    ('least', 'steps', 'size'),
    [
        (33, [], (256, 320)),
        (481, [], (512, 512)),
        (225, [dict(op='Resize', scale=[400, 300], keep_ratio=True)], (256, 320)),
        (33, [dict(op='CenterCrop', crop_size=[224, 192])], (192, 224)),
        (225, [dict(op='CenterCrop', crop_size=[224, 224])], None),
        (225, [dict(op='Resize', scale=[224, 224], keep_ratio=False)], None),
    ],
)
def test_the_size_of_the_trace_is_never_below_the_least(least, steps, size):
    metadata = ModelMetadata('detection', steps=steps, pad_divisor=32, least_side=least)
    if size:
        assert input_size(metadata, None, fixed=False) == size
    else:
        with pytest.raises(
            UserError, match=r'images of 224 224: .* 225 px.*dfc\.ratio'
        ):
            input_size(metadata, None, fixed=False)


def test_a_file_of_one_size_holds_what_the_pipeline_pads():
    resize = dict(op='Resize', scale=[640, 480], keep_ratio=True)
    pad = dict(op='Pad', size=[640, 640], size_divisor=None)
    metadata = ModelMetadata('detection', steps=[resize, pad], least_side=33)
    assert input_size(metadata, None, fixed=True) == (640, 640)


@pytest.mark.parametrize('kind', ['classifier', 'retinanet', 'segmentor'])
def test_files_of_opset_11_are_written_where_the_graph_allows(toy, tmp_path, kind):
    cfg, checkpoint, _ = toy(kind)
    export = export_onnx(cfg, checkpoint, tmp_path / 'a.onnx', opset=11, fixed=1)
    assert onnx.load(export.path).opset_import[0].version == 11


def test_an_opset_without_roi_align_is_refused(toy, tmp_path):
    cfg, checkpoint, _ = toy('mask-rcnn')
    with pytest.raises(UserError, match=r'--opset 15: the RoIAlign .* in 16 and later'):
        export_onnx(cfg, checkpoint, tmp_path / 'b.onnx', opset=15)
    assert not (tmp_path / 'b.onnx').exists()


def test_a_size_that_a_trace_gets_wrong_is_refused(toy, tmp_path):
    cfg, checkpoint, _ = toy('classifier')
    with pytest.raises(UserError, match=r'--size 32 64: must be .* from 33 px up'):
        export_onnx(cfg, checkpoint, str(tmp_path / 'a.onnx'), size=(32, 64))


@pytest.mark.parametrize(
    ('kind', 'change', 'message'),
    [
        ('segmentor', {'model.test_cfg.mode': 'slide'}, 'mode=whole'),
        ('retinanet', {'model.test_cfg.nms.type': 'soft_nms'}, "dict\\(type='nms'"),
        ('retinanet', {'model.test_cfg.nms_pre': -1}, 'nms_pre=1000'),
        (
            'retinanet',
            {'model.bbox_head.type': 'PAAHead', 'model.bbox_head.norm_cfg': None},
            'postprocessing of its own',
        ),
    ],
)
def test_models_without_a_graph_are_refused(tmp_path, data, kind, change, message):
    cfg = build_toy(tmp_path, kind, data)
    cfg.merge_from_dict(change)
    with pytest.raises(UserError, match=message):
        build_graph(build_model(cfg), scope_of(cfg))


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        (dict(type='Resize', scale_factor=0.7), 'scale_factor'),
        (dict(type='RandomFlip', prob=1.0), r'pipeline\[0\] is RandomFlip'),
        (dict(type='Resize', scale=9, interpolation='hamming'), 'hamming'),
        (dict(type='CenterCrop', crop_size=9, auto_pad=True), 'auto_pad'),
        (dict(type='Pad', size_divisor=9, padding_mode='reflect'), "it has 'constant'"),
        (dict(type='LoadImageFromFile', color_type='grayscale'), "it has 'color'"),
    ],
)
def test_steps_that_the_runtime_does_not_have_are_refused(step, message):
    with pytest.raises(UserError, match=message):
        infer_steps([step])


WITHOUT_TORCH = """
import sys
for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'onnx', 'mmghost', 'PIL'):
    sys.modules[name] = None  # importing them raises ImportError
sys.argv = ['run_model.py', *sys.argv[2:]]
import runpy
runpy.run_path(TOOL, run_name='__main__')
"""


def test_run_model_needs_neither_torch_nor_mmghost(toy, root, data, tmp_path):
    _, _, export = toy('mask-rcnn')
    out, found = tmp_path / 'seen', tmp_path / 'found.json'
    with TemporaryDirectory() as folder:  # as high up as a device's /home/pi
        shutil.copytree(root / 'mmghost/deploy/runtime', f'{folder}/runtime')
        tool = shutil.copy(root / 'tools/deployment/run_model.py', folder)
        command = [
            sys.executable, '-c', WITHOUT_TORCH.replace('TOOL', repr(tool)), '-',
            export.path, str(data / 'coco/val2017'), '--out', str(out),
            '--json', str(found), '--score-thr', '0.02', '--threads', '1',
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd='/'
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('objects of score >= 0.02') == 4
    path = first_image(data)
    expected = Runner(export.path).predict(path)
    first = json.loads(found.read_text())[path]
    assert np.allclose(first['boxes'], expected.boxes, atol=1e-2)  # rounded
    drawn = cv2.imread(str(out / f'{Path(path).stem}.png')).astype(int)
    original = cv2.imread(path).astype(int)
    assert drawn.shape == original.shape and np.abs(drawn - original).max() > 30


def test_run_model_reports_errors_in_one_line(toy, root, data, tmp_path, call):
    export, segmentor = toy('classifier').export, toy('segmentor').export
    image, folder = first_image(data), str(data / 'coco/val2017')
    (tmp_path / 'no.jpg').write_text('no image')
    (tmp_path / 'no.onnx').write_bytes(b'\x00no file')
    newer = str(tmp_path / 'newer.onnx')
    shutil.copy(export.path, newer)
    metadata = replace(export.metadata, steps=[dict(op='Rotate')])
    write_metadata(newer, metadata)
    for args, message in [
        ([export.path, str(tmp_path / 'no.jpg')], 'is not an image'),
        ([str(tmp_path / 'no.onnx'), image], 'cannot be run in onnxruntime'),
        ([export.path, image, '--out', 'seen.txt'], 'images end in .jpg'),
        (
            [export.path, image, '--label-maps', str(tmp_path / 'maps')],
            f'--label-maps goes with segmentation; {export.path} is for classification',
        ),
        ([export.path, image, '--score-thr', '30'], 'scores go from 0 to 1'),
        ([export.path, folder, '--out', 'one.png'], '--out one.png: name a folder for'),
        ([newer, image], "step 'Rotate', which this runtime does not know"),
        ([segmentor.path, folder, '--out', 'a', '--label-maps', 'a'], 'both name a/'),
    ]:
        said, _ = call('deployment/run_model.py', *args)
        assert message in said and '\n' not in said


def test_results_of_a_folder_have_the_names_of_their_images(root):
    tool = runpy.run_path(str(root / 'tools/deployment/run_model.py'))
    images = [root / name for name in ('a.jpg', 'a.png', 'b.jpg', 'c/b.jpg')]
    expected = [Path(f'out/{name}.png') for name in ('a.jpg', 'a.png', 'b', 'c/b')]
    assert tool['result_paths']('out', images, root) == expected


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--int8', '0'], '--int8 0: at least one image'),
        (
            ['--int8', '--to', 'ncnn'],
            '--int8 goes with --to onnx or openvino or litert',
        ),
        (['--opset', '13', '--to', 'ncnn'], '--opset goes with --to onnx or openvino'),
        (['--fixed', '--to', 'litert', 'ncnn'], '--fixed goes with --to onnx'),
        (['--fixed', '--batch', '0'], '--batch 0: must be at least 1, with --fixed'),
        (['--batch', '4'], '--batch 4: must be at least 1, with --fixed'),
        (['--fixed', '--batch', '2', '--raw'], '--batch 2: .* not with --raw'),
        (['--seven-bits'], '--seven-bits goes with --int8'),
        (['--max-drop', '0'], '--max-drop goes with --int8'),
        (['--opset', '0'], '--opset 0: must be 11 to 20'),
        (['--int8', '--opset', '12'], '--opset 12: int8 of onnx is in 13 and later'),
        (
            ['--int8', '--cfg-options', 'train_dataloader.dataset.data_root=nowhere'],
            'train_dataloader.dataset.*: there is no .*nowhere',
        ),
    ],
)
def test_options_that_cannot_be_are_refused_before_the_export(
    root, tmp_path, monkeypatch, flags, message
):
    tool = str(root / 'tools/deployment/export.py')
    config = str(root / 'configs/detection/retinanet_ghostnetv2-1.0_shapes.py')
    out = str(tmp_path / 'a.onnx')
    command = [tool, config, 'no.pth', '--to', 'onnx', '--out', out, *flags]
    monkeypatch.setattr(sys, 'argv', command)
    with pytest.raises(UserError, match=message):
        runpy.run_path(tool)['main']()
