"""The well-known data sets are told from parts of them."""

from types import SimpleNamespace

import pytest

from mmghost.checks.counts import check_count, expected_count


def dataset(name: str, **attributes):
    """A data set that looks as far as counts go like one of a toolbox."""
    cls = type(name, (SimpleNamespace,), dict(METAINFO=dict(classes=('a', 'b'))))
    defaults = dict(metainfo=dict(classes=('a', 'b')), data_prefix={}, ann_file='')
    return cls(**defaults | attributes)


COCO = dict(ann_file='data/coco/annotations/instances_train2017.json')


@pytest.mark.parametrize(
    ('given', 'title', 'count'),
    [
        (dataset('CocoDataset', **COCO), 'COCO 2017', 118287),
        (dataset('CocoDataset', ann_file='instances_val2017.json'), 'COCO 2017', 5000),
        (dataset('ADE20KDataset', data_prefix=dict(img_path='a/training')), 'ADE20K', 20210),
        (dataset('ADE20KDataset', data_prefix=dict(img_path='validation/')), 'ADE20K', 2000),
        (dataset('CityscapesDataset', data_prefix=dict(img_path='x/train')), 'Cityscapes', 2975),
        (dataset('ImageNet', split='train'), 'ImageNet-1k', 1281167),
        (dataset('ImageNet', split='val'), 'ImageNet-1k', 50000),
    ],
)  # fmt: skip
def test_the_published_counts_are_known(given, title, count):
    found = expected_count(given)
    assert found[0].startswith(title)
    assert found[1] == count


def test_a_part_is_told_and_stops_nothing():
    (problem,) = check_count(dataset('CocoDataset', **COCO), 'here', ['x'] * 50)
    assert not problem.fatal
    words = (
        'names 50 pictures of COCO 2017 (instances_train2017.json), which has 118287'
    )
    assert words in str(problem)


def test_label_maps_are_not_counted_as_pictures():
    prefix = dict(img_path='a/validation', seg_map_path='b/validation')
    whole = dataset('ADE20KDataset', data_prefix=prefix)
    assert check_count(whole, 'here', ['x'] * 4000) == []


def test_other_classes_under_the_same_file_names_are_other_data():
    shapes = dataset('CocoDataset', metainfo=dict(classes=('ring',)), **COCO)
    assert expected_count(shapes) is None
    assert expected_count(dataset('CustomDataset')) is None
