"""COCO files: one true message for each error, with the entry, the value and the remedy."""

from typing import Any

import pytest
from pycocotools.coco import COCO

from mmghost.checks.annotations import check_coco

from .data import NAMES, coco, coco_content, found, only


def set_all(kind: str, key: str, value: Any):
    """Return an edit that sets a key of all entries; None deletes it."""

    def edit(content: dict) -> None:
        for entry in content[kind]:
            entry[key] = value(entry) if callable(value) else value
            if entry[key] is None:
                del entry[key]

    return edit


def as_corners(entry: dict) -> list:
    x, y, w, h = entry['bbox']
    return [x, y, x + w, y + h]


def as_fractions(entry: dict) -> list:
    x, y, w, h = entry['bbox']
    return [x / 50, y / 40, w / 50, h / 40]


def as_yolo(entry: dict) -> list:
    x, y, w, h = as_fractions(entry)
    return [x + w / 2, y + h / 2, w, h]


def categories(*names: tuple[int, str]):
    listed = [dict(id=key, name=name) for key, name in names]
    return lambda content: content.update(categories=listed)


def roboflow(content: dict) -> None:
    """The group of the classes comes first, as a category without objects."""
    for entry in content['categories']:
        entry['supercategory'] = 'pets'
    content['categories'].insert(0, dict(id=0, name='pets', supercategory='none'))


CASES = {
    'category twice, once without objects': (
        categories((0, 'cat'), (3, 'cat'), (5, 'dog')),
        'category cat stands 2 times (ids 0, 3)',
        'remove the entry of id 0, which no object has',
    ),
    'category twice, both with objects': (
        lambda c: (categories((3, 'cat'), (5, 'dog'), (9, 'dog'))(c),
                   c['annotations'][1].update(category_id=9)),
        'category dog stands 2 times (ids 5, 9)',
        'give objects of category_id 9 the id 5, then remove',
    ),
    'one entry written twice': (
        categories((3, 'cat'), (3, 'cat'), (5, 'dog')),
        'category cat stands 2 times (ids 3, 3)',
        'all entries of it but one',
    ),
    'images without a width': (
        set_all('images', 'width', None),
        '4 images have no width: images[0], images[1], images[2] and 1 more',
        'add width to each of them',
    ),
    'images without a name': (
        set_all('images', 'file_name', None), '4 images have no file_name', 'add file_name'
    ),
    'objects without an area': (
        set_all('annotations', 'area', None), '8 annotations have no area', 'or of its box'
    ),
    'an area of 0': (
        set_all('annotations', 'area', 0),
        'mmdet leaves out 8 of 8 objects, their area is 0: id 0, id 1',
        'correct bbox and area',
    ),
    'boxes outside': (
        set_all('annotations', 'bbox', [60, 50, 5, 5]),
        'mmdet leaves out 8 of 8 objects, no px in their image',
        'correct bbox',
    ),
    'corners': (
        set_all('annotations', 'bbox', as_corners),
        'its boxes are corners [x1, y1, x2, y2], such as [5, 5, 25, 15] of id 0: as '
        '[x, y, width, height] 4 of 8 end outside',
        'subtract x1 from x2 and y1 from y2',
    ),
    'fractions': (
        set_all('annotations', 'bbox', as_fractions),
        'its boxes are fractions of the image, such as [0.1, 0.125, 0.4, 0.25] of id 0',
        'in px',
    ),
    'fractions of YOLO': (
        set_all('annotations', 'bbox', as_yolo), 'fractions', 'new_config.py reads YOLO'
    ),
    'a box of three numbers': (
        lambda c: c['annotations'][1].update(bbox=[1, 2, 3]),
        "such as in the annotation {'id': 1",
        'bbox is [x, y, width, height]',
    ),
    'a box of text': (
        lambda c: c['annotations'][1].update(bbox='wide'), "'bbox': 'wide'", 'bbox is'
    ),
    'ids of another type': (
        set_all('annotations', 'image_id', lambda entry: str(entry['image_id'])),
        "8 annotations have a image_id that is not in images, and are left out: '0', '1'",
        'correct the image_id',
    ),
    'categories that count from 0': (
        set_all('annotations', 'category_id', lambda e: e['category_id'] - 3),
        '8 annotations have a category_id that is not in categories, and are left out: '
        '0, 2; categories has 3, 5',
        'correct the category_id',
    ),
    'images of two files with the same ids': (
        set_all('images', 'id', 1), '1 ids of images occur more than once: id 1', 'its own'
    ),
    'no annotations': (
        lambda c: c.update(annotations=[]), 'has no annotations', 'the right file?'
    ),
    'no images': (lambda c: c.update(images=[]), 'lists no images', 'the right file?'),
    'another class': (
        categories((3, 'cat'), (5, 'dogs')),
        'has no category dog, but cat, dogs; did you mean dogs?',
        'set metainfo=dict(classes=(...))',
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', CASES)
def test_an_error_in_a_coco_file_has_one_message_with_value_and_remedy(tmp_path, name):
    edit, what, remedy = CASES[name]
    problem = only(coco(tmp_path, edit))
    assert problem.fatal
    assert problem.where == str(tmp_path / 'train.json')
    assert what in problem.what
    assert remedy in problem.remedy


def test_a_good_file_has_no_problem(tmp_path):
    assert found(coco(tmp_path)) == []


def test_following_the_remedy_for_a_category_that_stands_twice_keeps_every_object():
    content = coco_content()
    content['categories'].insert(0, dict(id=0, name='cat'))
    (problem,) = check_coco(content, 'a.json', NAMES)
    assert 'entry of id 0' in problem.remedy
    del content['categories'][0]
    assert check_coco(content, 'a.json', NAMES) == []
    assert len(content['annotations']) == 8


@pytest.mark.parametrize('keep', [1, 2, 3])
def test_objects_of_images_that_were_taken_out_stop_nothing(tmp_path, keep):
    problem = only(coco(tmp_path, lambda c: c.update(images=c['images'][:keep])))
    assert not problem.fatal
    assert (
        f'{8 - 2 * keep} annotations have a image_id that is not in images'
        in problem.what
    )


@pytest.mark.parametrize('size', [(50, 40), (30, 30)])
def test_large_objects_at_the_top_left_are_no_corners(tmp_path, size):
    """[1, 1, 48, 38] might be either; only boxes that leave the image tell."""
    box = [1, 1, size[0] - 2, size[1] - 2]
    assert found(coco(tmp_path, set_all('annotations', 'bbox', box))) == []


@pytest.mark.parametrize('name', ['dog', 'pets'])
def test_a_class_without_objects_is_said_with_its_likely_reason(tmp_path, name):
    def edit(content):
        roboflow(content)
        for entry in content['annotations']:
            entry['category_id'] = 3 if name == 'dog' else entry['category_id']

    cfg = coco(tmp_path, edit)
    cfg.train_dataloader.dataset.metainfo.classes = ('cat', name)
    problem = only(cfg, ['train'])
    assert not problem.fatal
    assert problem.what == f'no object is of the classes {name}'
    assert ('supercategory' in problem.remedy) == (name == 'pets')


def test_a_group_that_is_not_among_the_classes_is_left_alone(tmp_path):
    assert found(coco(tmp_path, roboflow)) == []


@pytest.mark.parametrize('with_mask', [False, True])
def test_masks_are_asked_for_where_the_pipeline_reads_them(tmp_path, with_mask):
    cfg = coco(tmp_path)
    cfg.train_dataloader.dataset.pipeline[1].with_mask = with_mask
    problems = found(cfg)
    assert len(problems) == with_mask
    if with_mask:
        assert problems[0].what.startswith('8 annotations have no segmentation')


def test_evaluation_needs_iscrowd_and_training_does_not(tmp_path):
    cfg = coco(tmp_path, set_all('annotations', 'iscrowd', None))
    assert found(cfg) == []
    (tmp_path / 'val.json').write_text((tmp_path / 'train.json').read_text())
    assert only(cfg).remedy == 'add "iscrowd": 0, which the evaluation reads'


@pytest.mark.parametrize(
    ('text', 'what'),
    [
        (b'', 'is truncated JSON'),
        (b'{"images": [{"id": 1, "file_na', 'is truncated JSON'),
        (b'{"images": [}, "annotations": []}', 'is not JSON'),
        (b'[]', "has no list 'images'"),
        (b'{"images": [], "annotations": []}', "has no list 'categories'"),
    ],
)
def test_a_file_that_is_no_coco_json_is_named(tmp_path, text, what):
    cfg = coco(tmp_path)
    (tmp_path / 'train.json').write_bytes(text)
    problem = only(cfg)
    assert problem.where == str(tmp_path / 'train.json')
    assert what in problem.what


def test_what_passes_is_read_by_pycocotools_and_mmdet_with_every_object(
    tmp_path, capsys
):
    from mmdet.datasets import CocoDataset

    coco(tmp_path)
    path = str(tmp_path / 'train.json')
    read = CocoDataset(
        ann_file=path, data_prefix=dict(img='train'), metainfo=dict(classes=NAMES)
    )
    assert sum(len(read.get_data_info(i)['instances']) for i in range(len(read))) == 8
    assert len(COCO(path).anns) == 8
    capsys.readouterr()


def test_a_large_file_is_checked_in_seconds():
    """118,287 images and 860,001 objects are COCO's; a tenth must take a tenth."""
    import time

    content = coco_content(12_000)
    content['annotations'] *= 4
    for i, entry in enumerate(content['annotations']):
        content['annotations'][i] = entry | dict(id=i)
    start = time.process_time()
    assert check_coco(content, 'a.json', NAMES) == []
    assert time.process_time() - start < 3  # 0.3 s on a quiet core
