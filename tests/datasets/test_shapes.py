"""The Shapes dataset: its images, labels and files, read by those who use them."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

from mmghost.datasets.shapes import draw_image, make_shapes, parse_classes
from mmghost.datasets.shapes.classes import HUES, KINDS

SMALL = dict(train=6, val=3, size=64, progress=False)
NAMES = ('circle', 'crescent', 'cross', 'heart', 'ring', 'square', 'star', 'triangle')


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in files
    }


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp('shapes'), 12, 4, 96, progress=False)


def test_an_image_depends_on_its_seed_split_and_number_alone():
    keys = [(3, 'train', 0), (3, 'train', 1), (3, 'val', 0), (4, 'train', 0)]
    images = [draw_image(*key).image.tobytes() for key in keys]
    images += [
        draw_image(3, 'train', 0, label=label).image.tobytes() for label in (0, 1)
    ]
    assert len(set(images)) == len(images)
    assert draw_image(3, 'train', 1).image.tobytes() == images[1]


@pytest.mark.parametrize('size', [32, 33, 200])
def test_masks_boxes_and_label_map_agree_at_any_size(size):
    for index in range(12):
        drawing = draw_image(1, 'train', index, size)
        assert drawing.image.shape == (size, size, 3)
        assert 1 <= len(drawing.instances) <= 6
        covered, labels = np.zeros((2, size, size), int)
        for instance in drawing.instances:
            rows, columns = np.nonzero(instance.mask)
            low, high = np.min([columns, rows], 1), np.max([columns, rows], 1)
            assert instance.bbox == (*low, *(high - low + 1))
            covered += instance.mask
            labels += instance.mask * (instance.label + 1)
        assert covered.max() == 1
        assert np.array_equal(drawing.semantic, labels)


def test_the_mask_of_a_class_lies_where_its_hue_is_painted():
    for hue, degrees in HUES.items():
        drawing = draw_image(0, 'train', 0, classes=[f'{hue}-plain-circle'], label=0)
        pixels = drawing.image[drawing.instances[0].mask]
        hsv = cv2.cvtColor(np.uint8([[np.median(pixels, axis=0)]]), cv2.COLOR_BGR2HSV)
        difference = (2 * int(hsv[0, 0, 0]) - degrees + 180) % 360 - 180
        assert abs(difference) <= 12  # drawn within 8, plus noise and rounding


def test_classes_are_named_by_what_is_drawn():
    assert parse_classes(8) == NAMES
    assert parse_classes(['star', 'circle']) == ('circle', 'star')
    assert len(set(parse_classes(1000))) == 1000
    assert {name.count('-') for name in parse_classes(11)} == {1}
    labels = [
        i.label for n in range(150) for i in draw_image(0, 'train', n, 48).instances
    ]
    assert np.bincount(labels).min() > 30  # of some 60 each; 0 would be a missing class
    assert len(KINDS) == 10


def test_the_bytes_are_the_same_for_any_number_of_workers(tmp_path):
    assert make_shapes(tmp_path / 'a', **SMALL).made
    make_shapes(tmp_path / 'b', workers=3, **SMALL)
    assert digests(tmp_path / 'a') == digests(tmp_path / 'b')


def test_a_complete_dataset_is_kept_and_an_interrupted_one_made_again(tmp_path):
    make_shapes(tmp_path, **SMALL)
    before = digests(tmp_path)
    assert not make_shapes(tmp_path, **SMALL).made
    with pytest.raises(FileExistsError, match='made with other arguments'):
        make_shapes(tmp_path, **{**SMALL, 'seed': 1})
    manifest = json.loads((tmp_path / 'shapes.json').read_text())
    del manifest['instances']  # as an interruption leaves it
    (tmp_path / 'shapes.json').write_text(json.dumps(manifest))
    (tmp_path / 'coco/train2017/000000000001.jpg').write_bytes(b'half an image')
    assert make_shapes(tmp_path, **SMALL).made
    assert digests(tmp_path) == before


def test_folders_of_others_are_never_replaced(tmp_path):
    (tmp_path / 'coco').mkdir()
    with pytest.raises(FileExistsError, match='make_shapes did not make it'):
        make_shapes(tmp_path, **SMALL)
    assert digests(tmp_path) == {}


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(train=0), r'train=0, val=3: must be positive'),
        (dict(size=8), r'size=8: 32 to 8192 px'),
        (dict(classes=1001), r'classes=1001: must be in 1 to 1000'),
        (dict(classes=300), r'hold 255 classes'),
        (dict(classes=['blob']), r"'blob' is unknown; .* kinds are circle"),
        (dict(classes=['star', 'plain-star']), r'names of one form'),
        (dict(only='voc'), r'only=voc: must be among coco, ade, imagenet'),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        make_shapes(tmp_path / 'out', **{**SMALL, **wrong})
    assert not (tmp_path / 'out').exists()


# -- as the toolboxes read it ------------------------------------------------------------


def build(scope: str, **dataset):
    with DefaultScope.overwrite_default_scope(scope):
        return DATASETS.build(dataset)


def test_mmdet_reads_boxes_and_masks_exactly(shapes):
    dataset = build(
        'mmdet',
        type='CocoDataset',
        ann_file=str(shapes.out / 'coco/annotations/instances_train2017.json'),
        data_prefix=dict(img=str(shapes.out / 'coco/train2017')),
        metainfo=dict(classes=NAMES),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        ],
    )
    assert len(dataset) == 12
    for index, item in enumerate(dataset):
        drawn = draw_image(0, 'train', index, 96)
        assert item['gt_bboxes_labels'].tolist() == [i.label for i in drawn.instances]
        boxes = np.array([i.bbox for i in drawn.instances])
        boxes[:, 2:] += boxes[:, :2]
        assert np.array_equal(item['gt_bboxes'].numpy(), boxes)
        masks = np.stack([i.mask for i in drawn.instances])
        assert np.array_equal(item['gt_masks'].masks.astype(bool), masks)
        # JPEG stores color at half the resolution: compare at that one.
        read, painted = (cv2.blur(i, (4, 4)) for i in (item['img'], drawn.image))
        assert np.abs(read.astype(int) - painted).mean() < 6


def test_mmseg_and_mmpretrain_read_label_maps_and_class_folders(shapes):
    root = shapes.out / 'ade/ADEChallengeData2016'
    dataset = build(
        'mmseg',
        type='ADE20KDataset',
        data_root=str(root),
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'
        ),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    )
    assert len(dataset) == 12
    for index, item in enumerate(dataset):
        labels = draw_image(0, 'train', index, 96).semantic.astype(int)
        wanted = np.where(labels == 0, 255, labels - 1)  # 0 is "not labeled"
        assert np.array_equal(item['gt_seg_map'], wanted)
    root = str(shapes.out / 'imagenet')
    listed = build('mmpretrain', type='ImageNet', data_root=root, split='val')
    folders = build(
        'mmpretrain', type='CustomDataset', data_root=root, data_prefix='val'
    )
    assert folders.CLASSES == NAMES
    assert len(listed) == len(folders) == shapes.images['imagenet']['val'] == 8
    for info, other in zip(listed.load_data_list(), folders.load_data_list()):
        assert Path(info['img_path']).parent.name == NAMES[info['gt_label']]
        assert info['gt_label'] == other['gt_label']


def test_like_originals_has_the_classes_of_coco(tmp_path):
    made = make_shapes(
        tmp_path, 2, 1, 32, like_originals=True, only=['coco', 'ade'], progress=False
    )
    assert [len(names) for names in made.classes.values()] == [80, 150]
    dataset = build(
        'mmdet',
        type='CocoDataset',
        ann_file=str(tmp_path / 'coco/annotations/instances_train2017.json'),
        data_prefix=dict(img=''),
    )
    assert (len(dataset.cat_ids), dataset.cat_ids[-1]) == (80, 90)  # the ids have gaps


def test_the_number_of_objects_is_chosen_and_other_shapes_are_overwritten(tmp_path):
    options = dict(train=6, val=1, size=128, only='coco', progress=False)
    first = make_shapes(tmp_path, objects=[1], **options)
    assert first.instances == dict(train=6, val=1)
    (tmp_path / 'ade').mkdir()  # of others
    second = make_shapes(tmp_path, objects=[2, 3], overwrite=True, **options)
    assert (tmp_path / 'ade').exists()
    assert second.made and 12 <= second.instances['train'] <= 18
