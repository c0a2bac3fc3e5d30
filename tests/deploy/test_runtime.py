"""The runtime of exported files against mmcv, the toolboxes, mmdet and pycocotools."""

from types import SimpleNamespace

import matplotlib
import mmcv
import numpy as np
import onnx
import pycocotools.mask
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from mmghost.deploy.metadata import infer_steps
from mmghost.deploy.runtime import (
    Classification,
    Detections,
    FileError,
    ModelMetadata,
    Runner,
    SegmentationMap,
    drawing,
)
from mmghost.deploy.runtime.drawing import draw
from mmghost.deploy.runtime.images import prepare, read_image
from mmghost.deploy.runtime.metadata import KEY
from mmghost.deploy.runtime.openvino_backend import own_name
from mmghost.deploy.runtime.results import paste_masks, run_lengths


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'RGBA', '1', 'turned'])
def test_images_are_read_as_mmcv_reads_them(tmp_path, mode):
    path = str(tmp_path / 'a.jpg' if mode == 'turned' else tmp_path / 'a.png')
    image = Image.fromarray(pixels(20, 30))
    if mode == 'turned':
        exif = Image.Exif()
        exif[0x0112] = 6  # a phone held upright
        image.save(path, exif=exif, quality=90)
    else:
        image.convert(mode).save(path)
    found, expected = read_image(path), mmcv.imread(path, channel_order='rgb')
    assert found.shape == ((30, 20, 3) if mode == 'turned' else (20, 30, 3))
    assert np.array_equal(found, expected)
    if mode == 'turned':  # as in ImageNet's recipe
        found = read_image(path, orientation=False)
        expected = mmcv.imread(path, 'color_ignore_orientation')
        assert found.shape == (20, 30, 3)
        assert np.array_equal(found, expected[..., ::-1])


def test_files_that_are_no_images_are_refused(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'not an image')
    (tmp_path / 'b.jpg').write_bytes(b'')
    with pytest.raises(FileError, match='No such file'):
        read_image(tmp_path / 'c.jpg')
    for name in ('a.jpg', 'b.jpg'):
        with pytest.raises(FileError, match='not an image'):
            read_image(tmp_path / name)


LOAD = dict(type='LoadImageFromFile')
BGR_MEAN, BGR_STD = [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]
DETECTION = dict(
    type='mmdet.DetDataPreprocessor',
    mean=BGR_MEAN[::-1],
    std=BGR_STD[::-1],
    bgr_to_rgb=True,
    pad_size_divisor=32,
)
CLASSIFICATION = dict(
    type='mmpretrain.ClsDataPreprocessor', mean=BGR_MEAN, std=BGR_STD, to_rgb=False
)
SEGMENTATION = dict(
    type='mmseg.SegDataPreProcessor',
    mean=BGR_MEAN[::-1],
    std=BGR_STD[::-1],
    bgr_to_rgb=True,
    size=(64, 64),
    pad_val=7,
    test_cfg=dict(size_divisor=32),
)
# fmt: off
PIPELINES = {
    'as large as fits': (DETECTION, [
        dict(type='mmdet.Resize', scale=(133, 80), keep_ratio=True)]),
    'to a size': (DETECTION, [
        dict(type='mmdet.Resize', scale=(96, 64), keep_ratio=False)]),
    'padded': (DETECTION, [
        dict(type='mmdet.Resize', scale=(70, 70), keep_ratio=True),
        dict(type='mmdet.Pad', size=(80, 90), pad_val=dict(img=114))]),
    'bicubic': (SEGMENTATION, [
        dict(type='mmcv.Resize', scale=(99, 77), interpolation='bicubic')]),
    'shorter edge and crop': (CLASSIFICATION, [
        dict(type='mmpretrain.ResizeEdge', scale=75, edge='short'),
        dict(type='mmcv.CenterCrop', crop_size=64)]),
    "Pillow's bicubic": (CLASSIFICATION, [
        dict(type='mmpretrain.ResizeEdge', scale=75, backend='pillow',
             interpolation='bicubic'),
        dict(type='mmcv.CenterCrop', crop_size=(64, 48))]),
}
# fmt: on


@pytest.mark.parametrize('size', [(50, 110), (113, 64), (64, 64)])
@pytest.mark.parametrize('name', PIPELINES)
def test_an_image_is_prepared_as_the_toolbox_prepares_it(tmp_path, name, size):
    preprocessor, transforms = PIPELINES[name]
    scope = preprocessor['type'].split('.')[0]
    init_default_scope(scope)
    pack = {'mmdet': 'PackDetInputs', 'mmseg': 'PackSegInputs'}.get(scope, 'PackInputs')
    keys = ('img_shape', 'ori_shape', 'scale_factor')
    pipeline = [LOAD, *transforms, dict(type=f'{scope}.{pack}', meta_keys=keys)]
    path = str(tmp_path / 'a.png')
    Image.fromarray(pixels(*size)).save(path)
    packed = Compose(pipeline)(dict(img_path=path))
    shape = packed['inputs'].shape
    batch = dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])
    expected = MODELS.build(preprocessor)(batch, training=False)['inputs'][0]

    metadata = ModelMetadata(
        task='detection',
        steps=infer_steps(pipeline),
        channels='BGR' if scope == 'mmpretrain' else 'RGB',
        mean=preprocessor['mean'],
        std=preprocessor['std'],
        pad_divisor=1 if scope == 'mmpretrain' else 32,
        pad_value=preprocessor.get('pad_val', 0),
    )
    found = prepare(read_image(path), metadata)
    assert found.pixels.shape == expected.shape
    # Float32, normalized in two libraries.
    assert np.allclose(found.pixels, expected.numpy(), atol=1e-6)
    assert found.image_size == tuple(shape[1:]) and found.original_size == size
    meta = packed['data_samples'].metainfo
    if 'scale_factor' in meta:
        assert np.allclose(found.scale_factor, meta['scale_factor'])


def test_an_image_that_is_resized_to_nothing_is_refused():
    resize = dict(op='Resize', scale=[32, 32], keep_ratio=True)
    steps = [{**resize, 'interpolation': 'bilinear', 'backend': 'cv2'}]
    with pytest.raises(FileError, match=r'too thin: \(32, 0\) px'):
        prepare(
            np.zeros((1, 400, 3), np.uint8), ModelMetadata('detection', steps=steps)
        )


def test_masks_are_pasted_as_mmdet_pastes_them():
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    generator = np.random.default_rng(0)
    masks = generator.random((40, 28, 28), dtype=np.float32)
    corners = generator.uniform(-20, 130, (40, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    boxes[0] = [30, 30, 30.2, 80]  # thinner than a pixel
    boxes[1] = [0, 0, 100, 90]  # the whole image
    found = paste_masks(masks, boxes, (90, 100), 0.5)
    tensors = torch.from_numpy(masks)[:, None], torch.from_numpy(boxes)
    expected = _do_paste_mask(*tensors, 90, 100, skip_empty=False)[0].numpy()
    near = np.abs(expected - 0.5) < 1e-4  # may fall on either side
    assert near.mean() < 0.01 and expected.max() > 0.9
    assert np.array_equal(found[~near], (expected >= 0.5)[~near])


def test_run_lengths_are_those_of_coco():
    noise = np.random.default_rng(0).random((13, 17)) < 0.3
    for mask in (noise, np.zeros((4, 5), bool), np.ones((4, 5), bool)):
        coded = pycocotools.mask.frPyObjects(run_lengths(mask), *mask.shape)
        assert np.array_equal(pycocotools.mask.decode(coded), mask)


def test_gray_label_maps_keep_every_label():
    few, many = (SegmentationMap(np.arange(n).reshape(1, n)) for n in (256, 300))
    assert few.to_gray(['a'] * 150).dtype == np.uint8
    for result, classes in ((few, ['a'] * 257), (many, []), (many, ['a'] * 300)):
        assert np.array_equal(result.to_gray(classes), result.labels)


def test_objects_are_drawn_in_the_colors_of_the_file():
    metadata = ModelMetadata('detection', classes=['cat'], palette=[[255, 0, 0]])
    black = np.zeros((40, 60, 3), np.uint8)
    masks = np.zeros((1, 40, 60), bool)
    masks[0, 34:36, 30:32] = True
    boxes = np.array([[20.0, 10.0, 50.0, 38.0]])
    found = Detections(boxes, np.array([0.9]), np.array([0]), masks)
    seen = draw(black, found, metadata)
    assert seen[38, 40].tolist() == [255, 0, 0]  # the box
    assert seen[35, 31].tolist() == [127, 0, 0]  # the mask, half transparent
    assert not black.any(), 'the image itself is left alone'
    assert not draw(black, found, metadata, score_thr=0.95).any()
    labels = SegmentationMap(np.zeros((40, 60), np.int64))
    assert draw(black, labels, metadata)[0, 0].tolist() == [127, 0, 0]


@pytest.mark.parametrize(
    'font', [matplotlib.get_data_path() + '/fonts/ttf/DejaVuSans.ttf', '']
)
def test_names_beyond_ascii_are_drawn_in_an_installed_font(monkeypatch, recwarn, font):
    """Issue 19, 19: OpenCV draws each of their bytes as a question mark."""
    drawing._font_beyond_ascii.cache_clear()
    monkeypatch.setattr(drawing, '_FONTS', (font,))
    black, found = np.zeros((20, 99, 3), np.uint8), Classification(np.ones(1))
    seen, marks = (
        draw(black, found, ModelMetadata('classification', classes=[name]))
        for name in ('кот', '?' * 6)
    )
    assert np.array_equal(seen, marks) == (not font)
    assert [str(each.message)[:39] for each in recwarn] == [
        'letters beyond ASCII are drawn as ?: in'
    ] * (not font)
    drawing._font_beyond_ascii.cache_clear()


def onnx_file(path, properties: dict[str, str]) -> str:
    values = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1])
        for name in 'xy'
    )
    node = onnx.helper.make_node('Identity', ['x'], ['y'])
    graph = onnx.helper.make_graph([node], 'g', *([value] for value in values))
    opset = [onnx.helper.make_opsetid('', 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(path))
    return str(path)


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_metadata_go_into_a_file_and_come_out_again(tmp_path, backend):
    metadata = ModelMetadata(
        task='detection',
        classes=['Äpfel', '猫'],
        steps=[{'op': 'Resize', 'scale': [1333, 800], 'keep_ratio': True}],
        mean=[123.675, 116.28, 103.53],
        size=None,
        origin={'torch': '2.1.2'},
    )
    properties = {'other': 'x', KEY: metadata.to_json()}
    path = onnx_file(tmp_path / 'a.onnx', properties)
    assert Runner(path, backend).metadata == metadata


def test_files_that_cannot_be_used_are_refused(tmp_path):
    path = tmp_path / 'a.onnx'
    for properties, message in (
        ({}, 'no metadata of mmghost'),
        ({KEY: '{"task": "cooking"}'}, 'no metadata of mmghost'),
        ({KEY: '{"task": "detec'}, 'damaged'),
    ):
        with pytest.raises(FileError, match=message):
            Runner(onnx_file(path, properties))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match='cannot be run in onnxruntime'):
        Runner(path)
    with pytest.raises(FileError, match='there is no such file'):
        Runner(tmp_path / 'b.onnx')
    (tmp_path / 'b.txt').write_text('b')
    with pytest.raises(FileError, match=r'is not an exported file; they end in .*onnx'):
        Runner(tmp_path / 'b.txt')
    with pytest.raises(FileError, match=r'\.onnx files run in onnxruntime or openvino'):
        Runner(path, 'tensorrt')


def test_openvino_s_names_are_those_of_the_file():
    """A tensor may carry the name of a node that OpenVINO removed."""
    for names in ({'/Cast_2_output_0', 'original_size'}, {'original_size'}):
        assert own_name(SimpleNamespace(names=names)) == 'original_size'
