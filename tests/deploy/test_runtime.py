"""What runs on a device, against what the toolboxes and OpenCV do."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from mmghost.deploy.pipeline_facts import steps_of
from mmghost.deploy.runtime import Detections, Facts, FileFault, LabelMap
from mmghost.deploy.runtime.drawing import draw
from mmghost.deploy.runtime.facts import read_properties
from mmghost.deploy.runtime.pictures import prepare, read_picture
from mmghost.deploy.runtime.resizing import resize
from mmghost.deploy.runtime.results import grey, paste_masks, run_lengths

SIZES = [
    ((480, 640), (240, 320)),
    ((480, 640), (300, 400)),
    ((100, 100), (224, 224)),
    ((333, 500), (427, 640)),
    ((37, 53), (17, 91)),
    ((2, 3), (5, 1)),
    ((1, 1), (3, 2)),
]


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(('old', 'new'), SIZES)
@pytest.mark.parametrize('how', ['bilinear', 'nearest'])
def test_resizing_is_opencv_s_bit_by_bit(old, new, how):
    code = {'bilinear': cv2.INTER_LINEAR, 'nearest': cv2.INTER_NEAREST}[how]
    expected = cv2.resize(pixels(*old), new[::-1], interpolation=code)
    assert np.array_equal(resize(pixels(*old), new[1], new[0], how), expected)


@pytest.mark.parametrize(('old', 'new'), SIZES)
def test_bicubic_resizing_is_opencv_s_but_for_single_pixels(old, new):
    expected = cv2.resize(pixels(*old), new[::-1], interpolation=cv2.INTER_CUBIC)
    found = resize(pixels(*old), new[1], new[0], 'bicubic')
    difference = np.abs(found.astype(int) - expected)
    # Sums that end in one half: OpenCV adds them up in another order.
    assert difference.max() <= 1
    assert difference.sum() <= max(2, 0.01 * difference.size)


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'RGBA', '1', 'turned'])
def test_pictures_are_read_as_mmcv_reads_them(tmp_path, mode):
    path = str(tmp_path / 'a.png')
    image = Image.fromarray(pixels(20, 30))
    if mode == 'turned':
        path = str(tmp_path / 'a.jpg')
        exif = Image.Exif()
        exif[0x0112] = 6  # a phone held upright
        image.save(path, exif=exif, quality=90)
    else:
        image.convert(mode).save(path)
    found, expected = read_picture(path), mmcv.imread(path, channel_order='rgb')
    assert found.shape == ((30, 20, 3) if mode == 'turned' else (20, 30, 3))
    assert np.array_equal(found, expected)
    if mode == 'turned':  # as ImageNet's recipe has it
        found = read_picture(path, orientation=False)
        assert found.shape == (20, 30, 3)
        for backend in ('cv2', 'pillow'):
            expected = mmcv.imread(path, 'color_ignore_orientation', backend=backend)
            assert np.array_equal(found, expected[..., ::-1])


@pytest.mark.parametrize('folder', ['bccd/images', 'nuclei/images', 'coco/val2017'])
@pytest.mark.realdata
def test_real_photographs_are_read_as_mmcv_reads_them(realdata, folder):
    for path in sorted((realdata / folder).iterdir())[:10]:
        expected = mmcv.imread(str(path), channel_order='rgb')
        assert np.array_equal(read_picture(path), expected)


LOAD = dict(type='LoadImageFromFile')
DETECTION = dict(
    type='mmdet.DetDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=32,
)
CLASSIFICATION = dict(
    type='mmpretrain.ClsDataPreprocessor',
    mean=[103.53, 116.28, 123.675],
    std=[57.375, 57.12, 58.395],
    to_rgb=False,
)
SEGMENTATION = dict(
    type='mmseg.SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(64, 64),
    pad_val=7,
    test_cfg=dict(size_divisor=32),
)
PIPELINES = {
    'as large as fits': (
        DETECTION,
        [dict(type='mmdet.Resize', scale=(133, 80), keep_ratio=True)],
    ),
    'to a size': (
        DETECTION,
        [dict(type='mmdet.Resize', scale=(96, 64), keep_ratio=False)],
    ),
    'padded': (
        DETECTION,
        [
            dict(type='mmdet.Resize', scale=(70, 70), keep_ratio=True),
            dict(type='mmdet.Pad', size=(80, 90), pad_val=dict(img=114)),
        ],
    ),
    'by a factor': (
        SEGMENTATION,
        [dict(type='mmcv.Resize', scale_factor=0.7, keep_ratio=True)],
    ),
    'shorter edge and crop': (
        CLASSIFICATION,
        [
            dict(type='mmpretrain.ResizeEdge', scale=75, edge='short'),
            dict(type='mmcv.CenterCrop', crop_size=64),
        ],
    ),
    "Pillow's bicubic": (
        CLASSIFICATION,
        [
            dict(
                type='mmpretrain.ResizeEdge',
                scale=75,
                edge='short',
                backend='pillow',
                interpolation='bicubic',
            ),
            dict(type='mmcv.CenterCrop', crop_size=(64, 48)),
        ],
    ),
}


def test_label_maps_of_many_classes_keep_every_label(tmp_path):
    few, many = (LabelMap(np.arange(n).reshape(1, n)) for n in (256, 300))
    assert grey(few, ['a'] * 150).dtype == np.uint8
    for result, classes in ((few, ['a'] * 257), (many, []), (many, ['a'] * 300)):
        Image.fromarray(grey(result, classes)).save(tmp_path / 'a.png')
        found = np.asarray(Image.open(tmp_path / 'a.png'))
        assert np.array_equal(found, result.labels)


@pytest.mark.parametrize('size', [(50, 110), (113, 64), (64, 64)])
@pytest.mark.parametrize('name', PIPELINES)
def test_a_picture_is_prepared_as_the_toolbox_prepares_it(tmp_path, name, size):
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
    model = MODELS.build(preprocessor)
    expected = model(batch, training=False)['inputs']

    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    facts = Facts(
        task='detection',
        steps=steps_of(cfg),
        channels='BGR' if scope == 'mmpretrain' else 'RGB',
        mean=preprocessor['mean'],
        std=preprocessor['std'],
        pad_divisor=1 if scope == 'mmpretrain' else 32,
        pad_value=preprocessor.get('pad_val', 0),
    )
    found = prepare(read_picture(path), facts)
    assert found.pixels.shape == expected[0].shape
    # Float32, in two libraries.
    assert np.allclose(found.pixels, expected[0].numpy(), atol=1e-6)
    assert found.image_size == tuple(shape[1:]) and found.original_size == size
    meta = packed['data_samples'].metainfo
    if 'scale_factor' in meta:
        assert np.allclose(found.scale_factor, meta['scale_factor'])


def test_masks_are_pasted_as_mmdet_pastes_them():
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    generator = np.random.default_rng(0)
    masks = generator.random((40, 28, 28), dtype=np.float32)
    corners = generator.uniform(-20, 130, (40, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    boxes[0] = [30, 30, 30.2, 80]  # thinner than a pixel
    boxes[1] = [0, 0, 100, 90]  # the whole picture
    found = paste_masks(masks, boxes, (90, 100), 0.5)
    expected, _ = _do_paste_mask(
        torch.from_numpy(masks)[:, None],
        torch.from_numpy(boxes),
        90,
        100,
        skip_empty=False,
    )
    expected = expected.numpy()
    near = np.abs(expected - 0.5) < 1e-4  # may fall on either side
    assert near.mean() < 0.01 and expected.max() > 0.9
    assert np.array_equal(found[~near], (expected >= 0.5)[~near])


def test_run_lengths_are_coco_s():
    mask_api = pytest.importorskip('pycocotools.mask')
    generator = np.random.default_rng(0)
    for mask in (
        generator.random((13, 17)) < 0.3,
        np.zeros((4, 5), bool),
        np.ones((4, 5), bool),
    ):
        coded = mask_api.frPyObjects(run_lengths(mask), *mask.shape)
        assert np.array_equal(mask_api.decode(coded), mask)


def test_objects_are_drawn_in_the_colours_of_the_file():
    facts = Facts(task='detection', classes=['cat'], palette=[[255, 0, 0]])
    black = np.zeros((40, 60, 3), np.uint8)
    masks = np.zeros((1, 40, 60), bool)
    masks[0, 30:32, 30:32] = True
    found = Detections(
        np.array([[20.0, 20.0, 50.0, 35.0]]), np.array([0.9]), np.array([0]), masks
    )
    seen = np.asarray(draw(black, found, facts))
    assert seen[35, 40].tolist() == [255, 0, 0]  # the box
    assert seen[31, 31].tolist() == [127, 0, 0]  # the mask, half transparent
    assert not np.asarray(draw(black, found, facts, score_thr=0.95)).any()
    labels = LabelMap(np.zeros((40, 60), np.int64))
    assert np.asarray(draw(black, labels, facts))[0, 0].tolist() == [127, 0, 0]


def onnx_file(path, properties: dict[str, str]) -> str:
    onnx = pytest.importorskip('onnx')
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Identity', ['x'], ['y'])],
        'g',
        [onnx.helper.make_tensor_value_info('x', floats, [1])],
        [onnx.helper.make_tensor_value_info('y', floats, [1])],
    )
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(path))
    return str(path)


def test_facts_go_into_a_file_and_come_out_again(tmp_path):
    facts = Facts(
        task='detection',
        classes=['Äpfel', '猫'],
        steps=[{'op': 'resize', 'scale': [1333, 800], 'keep_ratio': True}],
        mean=[123.675, 116.28, 103.53],
        size=None,
        origin={'torch': '2.1.2'},
    )
    path = onnx_file(tmp_path / 'a.onnx', {'other': 'x', **facts.to_properties()})
    assert Facts.of_file(path) == facts
    assert read_properties(path)['other'] == 'x'


@pytest.mark.parametrize(
    ('properties', 'message'),
    [
        ({}, 'no metadata of mmghost'),
        ({'mmghost.task': '"cooking"'}, 'no metadata of mmghost'),
        ({'mmghost.task': '"detec'}, 'damaged'),
    ],
)
def test_files_that_do_not_say_what_to_do_are_refused(tmp_path, properties, message):
    path = onnx_file(tmp_path / 'a.onnx', properties)
    with pytest.raises(FileFault, match=message):
        Facts.of_file(path)


def test_a_file_cut_short_anywhere_is_a_fault_and_no_crash(tmp_path):
    facts = Facts(task='detection', classes=['a'])
    path = onnx_file(tmp_path / 'a.onnx', facts.to_properties())
    content = Path(path).read_bytes()
    for length in range(len(content)):
        (tmp_path / 'b.onnx').write_bytes(content[:length])
        try:  # where a field ends a shorter file is a file with fewer facts
            cut = Facts.of_file(tmp_path / 'b.onnx')
        except FileFault:
            continue
        assert cut.task == 'detection'


def test_pictures_that_are_none_are_faults(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'not a picture')
    Image.fromarray(pixels(64, 64)).save(tmp_path / 'b.jpg')
    whole = (tmp_path / 'b.jpg').read_bytes()
    (tmp_path / 'b.jpg').write_bytes(whole[: len(whole) // 2])
    for name, message in (
        ('a.jpg', 'not a picture'),
        ('b.jpg', 'cannot be read'),
        ('c.jpg', 'No such file'),
    ):
        with pytest.raises(FileFault, match=message):
            read_picture(tmp_path / name)


def test_openvinos_names_are_those_of_the_file():
    """A tensor may carry the name of a node beside it that OpenVINO left out."""
    from mmghost.deploy.runtime.runner import _own_name

    for names in ({'/Cast_2_output_0', 'original_size'}, {'original_size'}):
        assert _own_name(SimpleNamespace(names=names)) == 'original_size'
    assert _own_name(SimpleNamespace(names={'/odd'})) == '/odd'
