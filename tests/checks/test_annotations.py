"""COCO files: one true message for each error, with the entry, the value and the remedy."""

from typing import Any

import pytest

from .data import coco, found, only


def every(kind: str, key: str, value: Any):
    """Return an edit that sets a key of all entries; None deletes it."""

    def edit(content: dict) -> None:
        for entry in content[kind]:
            new = value(entry) if callable(value) else value
            if new is None:
                del entry[key]
            else:
                entry[key] = new

    return edit


def corners(entry: dict) -> list:
    x, y, w, h = entry['bbox']
    return [x, y, x + w, y + h]


def fractions(entry: dict) -> list:
    return [side / whole for side, whole in zip(entry['bbox'], (50, 40, 50, 40))]


def categories(*names: tuple[int, str]):
    listed = [dict(id=key, name=name) for key, name in names]
    return lambda content: content.update(categories=listed)


def two_dogs(content: dict) -> None:
    categories((3, 'cat'), (5, 'dog'), (9, 'dog'))(content)
    content['annotations'][1]['category_id'] = 9


def box(value: Any):
    return lambda content: content['annotations'][1].update(bbox=value)


# fmt: off
CASES = {
    'twice, once without objects': (categories((0, 'cat'), (3, 'cat'), (5, 'dog')), 'category cat is listed twice or more, ids 0, 3', 'keep id 3, also for objects of 0, if any'),
    'twice, with objects': (two_dogs, 'category dog is listed twice or more, ids 5, 9', 'keep id 5, also for objects of 9'),
    'no width': (every('images', 'width', None), '4 images have no width', 'add width to each, first to images[0]'),
    'no name': (every('images', 'file_name', None), '4 images have no file_name', 'add file_name'),
    'names are null': (lambda c: [i.update(file_name=None) for i in c['images']], '4 images have no file_name', 'add file_name'),
    'no images': (lambda c: c.update(images=[], annotations=[]), 'has no image in it', 'export it again'),
    'no objects': (lambda c: c.update(annotations=[]), 'has no object in it', 'export it again'),
    'only others': (lambda c: (c['categories'].append(dict(id=9, name='cow')), every('annotations', 'category_id', 9)(c)), 'has no object of the classes cat, dog, but of cow', 'name classes that it has'),
    'no area': (every('annotations', 'area', None), '8 annotations have no area', 'add area to each'),
    'area of 0': (every('annotations', 'area', 0), 'mmdet leaves out 8 of 8 objects without area', 'correct bbox and area'),
    'outside': (every('annotations', 'bbox', [60, 50, 5, 5]), 'mmdet leaves out 8 of 8 objects without area in the image', 'correct bbox and area'),
    'corners': (every('annotations', 'bbox', corners), 'its boxes are corners [x1, y1, x2, y2], such as [5, 5, 25, 15] of id 0, or 50% end outside', 'subtract x1 from x2 and y1 from y2'),
    'fractions': (every('annotations', 'bbox', fractions), 'its boxes are fractions, such as [0.1, 0.125, 0.4, 0.25] of id 0', 'in px'),
    'box of three numbers': (box([1, 2, 3]), 'is no COCO JSON', 'bbox is [x, y, width, height]'),
    'numbers as text': (every('annotations', 'area', '200'), 'is no COCO JSON (numbers are in quotes)', ''),
    'ids of another type': (every('annotations', 'image_id', lambda e: str(e['image_id'])), "annotations have image_id '0', '1', '2' and 1 more, but images has 0, 1, 2", 'they must be the same'),
    'categories from 0': (every('annotations', 'category_id', lambda e: e['category_id'] - 3), 'annotations have category_id 0, 2, but categories has 3, 5', 'they must be the same'),
    'ids of two files': (every('images', 'id', 1), 'images share the ids 1', 'its own'),
    'categories of one id': (lambda c: (categories((3, 'cat'), (3, 'dog'))(c), every('annotations', 'category_id', 3)(c)), 'categories share the ids 3', 'its own'),
    'another class': (categories((3, 'cat'), (5, 'dogs')), 'has no category dog, but cat, dogs; did you mean dogs?', 'set metainfo=dict(classes=...)'),
}
# fmt: on


@pytest.mark.parametrize('name', CASES)
def test_an_error_in_a_coco_file_has_one_message_with_value_and_remedy(tmp_path, name):
    edit, what, remedy = CASES[name]
    problem = only(coco(tmp_path, edit))
    assert problem.fatal
    assert problem.where == str(tmp_path / 'train.json')
    assert what in problem.what
    assert remedy in problem.what


@pytest.mark.parametrize('keep', [1, 2, 3])
def test_objects_of_images_that_were_taken_out_stop_nothing(tmp_path, keep):
    cut = slice(keep, 4)
    assert found(coco(tmp_path, lambda c: c['images'].__delitem__(cut))) == []


@pytest.mark.parametrize('size', [48, 28])
def test_large_objects_at_the_top_left_are_no_corners(tmp_path, size):
    """[1, 1, 48, 38] might be either; only boxes that leave the image tell."""
    assert found(coco(tmp_path, every('annotations', 'bbox', [1, 1, size, 38]))) == []


@pytest.mark.parametrize('name', ['dog', 'pets'])
def test_a_class_without_objects_is_said_with_its_likely_reason(tmp_path, name):
    """Roboflow lists the group of the classes first, as a category of its own."""

    def edit(content):
        every('categories', 'supercategory', lambda entry: 'pets')(content)
        content['categories'].insert(0, dict(id=0, name='pets', supercategory='none'))
        if name == 'dog':
            every('annotations', 'category_id', 3)(content)

    cfg = coco(tmp_path, edit)
    assert found(cfg, ['train']) == [] or name == 'dog'
    classes = ('cat', 'dog') if name == 'dog' else ('pets', 'cat')  # as they stand
    cfg.train_dataloader.dataset.metainfo.classes = classes
    problem = only(cfg, ['train'])
    assert not problem.fatal
    assert f'has no object of the classes {name}, but of cat' in problem.what


def test_masks_are_asked_for_where_the_pipeline_reads_them(tmp_path):
    cfg = coco(tmp_path)
    assert found(cfg) == []
    cfg.train_dataloader.dataset.pipeline[1].with_mask = True
    assert only(cfg).what.startswith('8 annotations have no segmentation')


def test_evaluation_needs_iscrowd_and_training_does_not(tmp_path):
    cfg = coco(tmp_path, every('annotations', 'iscrowd', None))
    assert found(cfg) == []
    (tmp_path / 'val.json').write_text((tmp_path / 'train.json').read_text())
    assert 'have no iscrowd - add iscrowd: 0 to each' in only(cfg).what


@pytest.mark.parametrize(
    ('text', 'what'),
    [
        (b'', 'Expecting value'),
        (b'{"images": [{"id": 1, "file_na', 'Unterminated string'),
        (b'[]', 'is no COCO JSON'),
        (b'{"images": []}', 'is no COCO JSON'),
    ],
)
def test_a_file_that_is_no_coco_json_is_named(tmp_path, text, what):
    cfg = coco(tmp_path)
    (tmp_path / 'train.json').write_bytes(text)
    problem = only(cfg)
    assert problem.where == str(tmp_path / 'train.json')
    assert what in problem.what


def test_subclasses_are_checked_unless_they_read_files_in_another_way(tmp_path):
    from mmdet.datasets import CocoDataset

    class Pets(CocoDataset):
        METAINFO = dict(classes=('cat', 'dog'))

    class Renamed(CocoDataset):
        def parse_data_info(self, raw_data_info):
            return super().parse_data_info(raw_data_info)

    cfg = coco(tmp_path, every('images', 'file_name', None))
    del cfg.train_dataloader.dataset['metainfo']
    for kind, count in ((Pets, 1), (Renamed, 0), ('LVISV1Dataset', 0)):
        cfg.train_dataloader.dataset.type = kind
        assert len(found(cfg)) == count
