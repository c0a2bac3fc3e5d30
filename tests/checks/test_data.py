"""Data sets as they lie on the disk: each fault is told by file, entry and remedy."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmghost.checks.annotations import (
    check_class_names,
    check_coco,
    load_coco,
    segmentation_files,
)
from mmghost.checks.preflight import build_datasets, preflight
from tests.helpers import changed

from ..toys import CLASSES, write_config

COCO = 'coco/annotations/instances_train2017.json'
ADE = 'ade/ADEChallengeData2016'


def problems(tmp_path: Path, task: str, data: Path, loaders=('train', 'val'), more=''):
    cfg = Config.fromfile(write_config(tmp_path, task, data, more))
    return [str(problem) for problem in preflight(cfg, loaders)]


@pytest.mark.parametrize('task', ['detection', 'segmentation', 'classification'])
def test_a_whole_data_set_has_no_problems(tmp_path, shapes, task):
    assert problems(tmp_path, task, shapes, ('train', 'val', 'test')) == []


@pytest.mark.parametrize('task', ['detection', 'segmentation', 'classification'])
@pytest.mark.parametrize('name', [0, False, [], {}])
def test_a_file_that_is_no_name_is_refused_where_it_stands(
    tmp_path, shapes, task, name
):
    # os.path takes 0 and False for the terminal, and datasets for no name at all.
    cfg = Config.fromfile(write_config(tmp_path, task, shapes))
    cfg.train_dataloader.dataset.ann_file = name
    (found,) = preflight(cfg, ['train'])
    assert str(found) == (
        f'train_dataloader.dataset.ann_file: is {name!r}; it must be text or None'
    )


def test_coco_without_a_file_is_told(tmp_path, shapes):
    cfg = Config.fromfile(write_config(tmp_path, 'detection', shapes))
    cfg.train_dataloader.dataset.ann_file = ''
    (found,) = preflight(cfg, ['train'])
    assert str(found) == 'train_dataloader.dataset.ann_file: names no file'


@pytest.mark.parametrize('task', ['detection', 'segmentation', 'classification'])
def test_a_wrong_data_root_is_named_once_a_loader(tmp_path, task):
    found = problems(tmp_path, task, tmp_path / 'nowhere', ('train',))
    assert len(found) == 1
    assert found[0].startswith('train_dataloader.dataset.data_root: there is no folder')
    assert '--cfg-options train_dataloader.dataset.data_root=PATH' in found[0]


def test_a_missing_annotation_file_is_answered_with_near_names(tmp_path, own_shapes):
    path = own_shapes / COCO
    path.rename(path.with_name('instance_train2017.json'))
    (found,) = problems(tmp_path, 'detection', own_shapes, ('train',))
    assert found.startswith('train_dataloader.dataset.ann_file: there is no file')
    assert 'did you mean instance_train2017.json' in found


def test_a_missing_picture_folder_is_named(tmp_path, own_shapes):
    (own_shapes / 'coco/train2017').rename(own_shapes / 'coco/train')
    (found,) = problems(tmp_path, 'detection', own_shapes, ('train',))
    assert found.startswith(
        'train_dataloader.dataset.data_prefix.img: there is no folder'
    )
    assert 'did you mean train ' in found


@pytest.mark.parametrize(
    ('task', 'victim'),
    [
        ('detection', 'coco/train2017/000000000003.jpg'),
        ('segmentation', f'{ADE}/images/training/*_00000003.jpg'),
        ('segmentation', f'{ADE}/annotations/training/*_00000003.png'),
        ('classification', 'imagenet/train/ring/000001.jpg'),
    ],
)
def test_a_truncated_picture_or_label_map_is_named(tmp_path, own_shapes, task, victim):
    (path,) = own_shapes.glob(victim)
    path.write_bytes(path.read_bytes()[:-40])
    (found,) = problems(tmp_path, task, own_shapes, ('train',))
    assert '1 of ' in found
    assert path.name in found
    assert 'is cut short or damaged' in found


@pytest.mark.parametrize(
    ('task', 'victim'),
    [
        ('detection', 'coco/val2017/*3.jpg'),
        ('segmentation', f'{ADE}/annotations/validation/*_00000003.png'),
    ],
)
def test_a_missing_picture_or_label_map_is_named(tmp_path, own_shapes, task, victim):
    (path,) = own_shapes.glob(victim)
    path.unlink()
    (found,) = problems(tmp_path, task, own_shapes)
    assert 'pictures are not there' in found
    assert path.name in found


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'is cut short'),
        ('{"images": [{"id": 1, "file_na', 'is cut short'),
        ('{"images": [}, "annotations": []}', 'is no valid JSON'),
        ('[]', 'its top is not an object'),
        ('{"images": [], "annotations": []}', "no list 'categories'"),
        ('{"images": {}, "annotations": [], "categories": []}', "no list 'images'"),
    ],
)
def test_a_broken_annotation_file_is_told_by_what_is_wrong(tmp_path, text, words):
    path = tmp_path / 'a.json'
    path.write_text(text)
    parsed: dict = {}
    (problem,) = load_coco(str(path), 'here', parsed)
    assert problem.where == str(path)
    assert words in problem.what
    assert parsed == {}


@pytest.mark.parametrize(
    'content', [b'\x89PNG\xff\xfe\x00', b'[1' + b'0' * 5000 + b']']
)
def test_an_annotation_file_that_python_cannot_read_is_told(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    (problem,) = load_coco(str(path), 'here', {})
    assert 'no JSON text' in problem.what


GOOD = {
    'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 100, 'height': 80}],
    'categories': [{'id': 7, 'name': 'cat'}],
    'annotations': [
        {'id': 1, 'image_id': 1, 'category_id': 7, 'bbox': [10, 10, 20, 20],
         'area': 400, 'iscrowd': 0},
        {'id': 2, 'image_id': 1, 'category_id': 7, 'bbox': [90.5, 70, 20, 20],
         'area': 400, 'iscrowd': 0},
    ],
}  # fmt: skip


def test_a_good_file_has_no_problems():
    assert check_coco(GOOD, 'a.json', ['cat']) == []
    assert check_coco(GOOD, 'a.json', ['cat'], test=True) == []


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        ('images.0.file_name', None, '1 images without file_name: images[0]'),
        ('images.0.width', 'wide', '1 images whose width or height is no number'),
        ('images', [], 'lists no pictures'),
        ('images', ['a.jpg'], '1 images without any field (not an object)'),
        ('categories.0.name', None, '1 categories without name'),
        ('annotations', [], 'has no annotations'),
        ('annotations.1.bbox', None, '1 annotations without bbox: annotations[1]'),
        ('annotations.1.bbox', [1, 2, 3], '1 annotations whose bbox is not four numbers'),
        ('annotations.1.bbox', [1, 2, float('nan'), 3], 'not four numbers: id 2'),
        ('annotations.1.bbox', [1, 2, 10**400, 3], 'not four numbers: id 2'),
        ('annotations.1.area', 10**400, 'area is no number: id 2'),
        ('annotations.1.area', None, '1 annotations without area'),
        ('annotations.1.id', 1, '1 annotations with an id that another has: id 1'),
        ('annotations.1.image_id', 9, 'of a picture that is not listed: id 2 (image_id 9)'),
        ('annotations.1.category_id', 9, 'not listed: id 2 (category_id 9)'),
    ],
)  # fmt: skip
def test_a_fault_in_an_entry_is_told_with_the_entry(path, value, words):
    found = [p for p in check_coco(changed(GOOD, path, value), 'a.json') if p.fatal]
    assert any(words in problem.what for problem in found), found


def test_masks_need_a_segmentation_and_evaluation_needs_iscrowd():
    (masks,) = check_coco(GOOD, 'a.json', masks=True)
    assert masks.what.startswith('2 annotations without a segmentation')
    (crowd,) = check_coco(
        changed(GOOD, 'annotations.0.iscrowd', None), 'a.json', test=True
    )
    assert 'without iscrowd' in crowd.what
    (crowd,) = check_coco(
        changed(GOOD, 'annotations.0.iscrowd', 'no'), 'a.json', test=True
    )
    assert 'iscrowd is neither 0 nor 1' in crowd.what


@pytest.mark.parametrize('box', [[200, 10, 20, 20], [-30, 0, 20, 20], [5, 5, 0, 9]])
def test_boxes_that_mmdet_leaves_out_are_told_but_stop_nothing(box):
    (problem,) = check_coco(changed(GOOD, 'annotations.1.bbox', box), 'a.json')
    assert not problem.fatal
    assert '1 boxes of no area' in problem.what


def test_an_unknown_class_is_told_with_what_there_is():
    (problem,) = check_class_names(['RBC', 'WBX'], ['RBC', 'WBC'], 'a.json')
    assert problem.what == (
        'has no category WBX (WBX; did you mean WBC?); it has RBC, WBC'
    )
    assert 'metainfo' in problem.remedy


def test_unknown_classes_of_a_config_stop_it(tmp_path, shapes):
    more = (
        "for d in (train_dataset, ): d['metainfo'] = dict(classes=('circle', 'moon'))"
    )
    found = problems(tmp_path, 'detection', shapes, ('train',), more)
    assert 'has no category moon' in found[0]
    assert 'num_classes: is 8, the data set has 2 classes' in found[1]


def test_boxes_without_masks_are_told_where_the_pipeline_reads_masks(tmp_path, shapes):
    more = "pipeline[1]['with_mask'] = True"
    assert problems(tmp_path, 'detection', shapes, ('train',), more) == []
    path = shapes / COCO
    content = json.loads(path.read_text())
    for entry in content['annotations']:
        del entry['segmentation']
    other = tmp_path / 'boxes.json'
    other.write_text(json.dumps(content))
    more += f"\ntrain_dataset['ann_file'] = {str(other)!r}"
    (found,) = problems(tmp_path, 'detection', shapes, ('train',), more)
    assert 'annotations without a segmentation, which masks need' in found


def test_class_folders_are_counted_against_the_classes(tmp_path, own_shapes):
    more = f"train_dataset['metainfo'] = dict(classes={CLASSES[:7]})"
    found = problems(tmp_path, 'classification', own_shapes, ('train',), more)
    assert 'holds 8 class folders, the config names 7 classes' in found[0]


def test_an_empty_class_folder_is_told_but_stops_nothing(tmp_path, own_shapes):
    (own_shapes / 'imagenet/train/zebra').mkdir()
    more = "model['head']['num_classes'] = 9"
    path = write_config(tmp_path, 'classification', own_shapes, more)
    found = preflight(Config.fromfile(path), ('train',))
    assert [(p.what, p.fatal) for p in found] == [('holds no picture', False)]


def test_a_head_for_fewer_classes_than_there_are_folders_is_told(tmp_path, own_shapes):
    more = "model['head']['num_classes'] = 5"
    (found,) = problems(tmp_path, 'classification', own_shapes, ('train',), more)
    assert 'model.head.num_classes: is 5, the data set has 8 classes (circle' in found
    assert '--cfg-options model.head.num_classes=8' in found


def test_a_list_of_labels_is_checked_line_by_line(tmp_path, own_shapes):
    path = own_shapes / 'imagenet/meta/train.txt'
    lines = path.read_text().splitlines()
    path.write_text('\n'.join([*lines, 'ring/000001.jpg', 'ring/000001.jpg 8']))
    more = (
        "train_dataset['ann_file'] = 'meta/train.txt'\n"
        f"train_dataset['metainfo'] = dict(classes={CLASSES})"
    )
    (found,) = problems(tmp_path, 'classification', own_shapes, ('train',), more)
    assert (
        f'2 lines are not `picture label` with a label below 8: line {len(lines) + 1}'
        in found
    )


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'is empty'),
        ('Käfig\n'.encode('latin-1'), 'is no text in UTF-8'),
        (b'a\n\nb\n \n', 'has 2 lines that name no picture: line 2, line 4'),
    ],
)
@pytest.mark.parametrize(
    ('task', 'folder'), [('segmentation', ADE), ('classification', 'imagenet')]
)
def test_a_list_of_pictures_that_is_no_list_is_told(
    tmp_path, own_shapes, task, folder, content, words
):
    path = own_shapes / folder / 'list.txt'
    path.write_bytes(content)
    more = f"train_dataset['ann_file'] = {str(path)!r}"
    (found,) = problems(tmp_path, task, own_shapes, ('train',), more)
    assert found.startswith(f'{path}: {words}')


def test_a_wrong_suffix_leaves_no_pictures(tmp_path, shapes):
    more = "train_dataset['img_suffix'] = '.tiff'"
    (found,) = problems(tmp_path, 'segmentation', shapes, ('train',), more)
    assert 'holds no picture that ends in .tiff' in found


def test_the_pictures_to_segment_are_those_that_mmseg_reads(tmp_path, own_shapes):
    from mmseg.registry import DATASETS

    more = "train_dataset['pipeline'] = []"
    cfg = Config.fromfile(write_config(tmp_path, 'segmentation', own_shapes, more))
    (_, dataset), *_ = build_datasets(cfg, 'train_dataloader')
    folder = Path(dataset.data_prefix['img_path'])
    first, second, *_ = sorted(folder.iterdir())
    first.rename(first.with_suffix('.JPG'))
    second.rename(folder / f'._{second.name}')
    read = DATASETS.build(cfg.train_dataloader.dataset)
    read = [read.get_data_info(i) for i in range(len(read))]
    pictures, maps = segmentation_files(dataset)
    assert len(pictures) == 14
    assert sorted(pictures) == sorted(info['img_path'] for info in read)
    assert sorted(maps) == sorted(info['seg_map_path'] for info in read)


def test_data_sets_inside_wrappers_are_checked(tmp_path, own_shapes):
    (own_shapes / 'coco/train2017/000000000001.jpg').unlink()
    more = (
        "train_dataloader['dataset'] = dict(type='RepeatDataset', times=2, "
        "dataset=dict(type='ConcatDataset', datasets=[val_dataset, train_dataset]))"
    )
    (found,) = problems(tmp_path, 'detection', own_shapes, ('train',), more)
    assert found.startswith('train_dataloader.dataset.dataset.datasets[1]: 1 of 16')


def test_an_evaluator_of_other_pictures_is_told(tmp_path, own_shapes):
    path = own_shapes / 'coco/annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    ids = sorted(image['id'] for image in content['images'])
    for image in content['images']:
        image['id'] += 1000
    for entry in content['annotations']:
        entry['image_id'] += 1000
    other = path.with_name('other.json')
    other.write_text(json.dumps(content))
    more = f"val_evaluator['ann_file'] = {str(other)!r}"
    (found,) = problems(tmp_path, 'detection', own_shapes, ('val',), more)
    assert f'lacks pictures of val_dataloader: id {ids[0]}, {ids[1]}, ' in found


@pytest.mark.parametrize('fault', ['a picture', {'id': [1]}, {'id': {}}])
def test_faults_in_an_evaluators_own_file_are_told(fault, tmp_path, own_shapes):
    path = own_shapes / 'coco/annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    content['images'].append(fault)
    other = path.with_name('other.json')
    other.write_text(json.dumps(content))
    more = f"val_evaluator['ann_file'] = {str(other)!r}"
    (found,) = problems(tmp_path, 'detection', own_shapes, ('val',), more)
    assert found.startswith(f'{other}: 1 images without')
