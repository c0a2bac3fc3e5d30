"""Broken data and wrong arguments end in a message: the file and what to do about it.

Errors in the entries of a COCO JSON, damaged images and the like: tests/checks.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from mmghost.errors import UserError

from .conftest import CLASSES, WAYS, edit_json, write

TRAIN, VAL = 'coco/train.json', 'coco/val.json'
LISTS = WAYS['voc'][1:]
A_LABEL = 'yolo/labels/train/train_000000000001.txt'
AN_XML = 'voc/Annotations/train_000000000001.xml'
AN_IMAGE = 'coco/images/train_000000000003.jpg'


def text(name, content):
    return lambda: Path(name).write_text(content)


def cut(name):
    return lambda: Path(name).write_bytes(Path(name).read_bytes()[:-60])


def swap(name, old, new):
    return lambda: Path(name).write_text(Path(name).read_text().replace(old, new, 1))


def remove(name):
    path = Path(name)
    return lambda: shutil.rmtree(path) if path.is_dir() else path.unlink()


def edit(name, change):
    return lambda: edit_json(name, change)


# What breaks, by which form it is read, the words of the file and those of the remedy.
# fmt: off
BROKEN = {
    'another size': ('coco', edit(TRAIN, lambda c: c['images'][2].update(width=50)), 'train_000000000003.jpg (50x96, really 96x96)', 'correct width and height'),
    'an image is damaged': ('coco', cut(AN_IMAGE), 'train_000000000003.jpg is truncated', 'replace them'),
    'the image folder is gone': ('coco', remove('coco/images'), 'coco/train.json: its images', '--images'),
    'val has no such class': ('coco', edit(VAL, lambda c: c['categories'][2].update(name='moon')), 'coco/val.json: has no category cross', 'but circle'),
    'val does not exist': ('coco', remove(VAL), '--val coco/val.json: there is no such file', ''),
    'no masks': ('masks', edit(TRAIN, lambda c: c['annotations'][2].pop('segmentation')), 'have no segmentation', 'first to annotations[2]'),
    'XML is truncated': ('voc', cut(AN_XML), f'{AN_XML} (', 'fix them, or remove'),
    'XML of CVAT': ('voc', text(AN_XML, '<annotations></annotations>'), f'{AN_XML} (no VOC annotation)', 'fix them, or remove'),
    'XML bomb': ('voc', text(AN_XML, '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'), f'{AN_XML} (Entit', 'fix them, or remove'),
    'XML without a box': ('voc', swap(AN_XML, '<bndbox>', '<box>'), f'{AN_XML} (', 'fix them, or remove'),
    'XML with words': ('voc', swap(AN_XML, '<xmin>', '<xmin>about '), f'{AN_XML} (', 'fix them, or remove'),
    'XML of another size': ('voc', swap(AN_XML, '<width>96', '<width>480'), f'{AN_XML} (it is for 480x96 px, the image is 96x96)', 'fix them'),
    'no objects in any XML': ('voc', lambda: [p.write_text('<annotation></annotation>') for p in Path('voc/Annotations').iterdir()], 'train.txt: no object of any class; there are none', ''),
    'a VOC image is missing': ('voc', remove('voc/JPEGImages/train_000000000002.jpg'), 'train_000000000002', 'copy them'),
    'a VOC list is empty': ('voc', text(LISTS[0], ''), 'train.txt has no labels (it is empty)', 'a list (.txt) of images'),
    'a YOLO line is short': ('yolo', text(A_LABEL, '0 .5 .5 .1\n'), f'{A_LABEL} (', 'fix them, or remove'),
    'a YOLO line has words': ('yolo', text(A_LABEL, '0 .5 .5 wide .1\n'), f'{A_LABEL} (', 'fix them, or remove'),
    'a YOLO class is unknown': ('yolo', text(A_LABEL, '8 .5 .5 .1 .1\n'), '(class 8 has no name: give data.yaml, classes.txt or --classes)', 'fix them, or remove'),
    'YOLO labels in px': ('yolo', text(A_LABEL, '0 48 48 10 10\n'), f'{A_LABEL} (', 'YOLO has fractions from 0 to 1'),
    'no YOLO labels': ('yolo', remove('yolo/labels'), 'yolo/data.yaml has no labels', 'beside the images, or in labels'),
    'a damaged YOLO image': ('yolo', text('yolo/images/train/train_000000000002.jpg', 'x' * 99), '1 of 16 images or their labels cannot be used', 'train_000000000002.jpg is missing or damaged'),
    'data.yaml is no YAML': ('yolo', text('yolo/data.yaml', 'train: [images'), 'data.yaml is no data.yaml of YOLO', 'expected'),
    'data.yaml without val': ('yolo', swap('yolo/data.yaml', 'val:', 'test:'), 'data.yaml: val is None', 'a folder of images'),
    'data.yaml with a wrong folder': ('yolo', swap('yolo/data.yaml', 'images/val', 'images/v'), 'val: there are no images in yolo/images/v', ''),
    'data.yaml skips a class': ('yolo', text('yolo/data.yaml', 'train: images/train\nval: images/val\nnames: {0: a, 2: b}'), 'names must have the keys 0 to 1', ''),
    'void in the label maps': ('maps', lambda: text('maps/classes.txt', '\n'.join(['none', *CLASSES[:7]]))(), 'label maps hold 8', '--ignore-label'),
    'a damaged label map': ('values', lambda: cut(sorted(Path('maps/ann_dir/train').iterdir())[2])(), 'cannot be read as a label map', ''),
    'a class twice in classes.txt': ('maps', swap('maps/classes.txt', 'ring', 'star'), 'classes: has star more than once', 'its own name'),
    'no label maps': ('maps', remove('maps/ann_dir'), 'no label maps', '--train-maps'),
    'other names': ('maps', lambda: [p.rename(p.with_name('x' + p.name)) for p in Path('maps/ann_dir/train').iterdir()], 'begin as they do', 'rename, convert or remove'),
    'two kinds of images': ('maps', lambda: [p.rename(p.with_suffix('.png')) for p in sorted(Path('maps/img_dir/train').iterdir())[:2]], 'must end alike', 'rename, convert or remove'),
    'no names of classes': ('maps', remove('maps/classes.txt'), 'label maps have numbers', '--classes'),
    'val has no such folder': ('folders', remove('folders/val/ring'), 'folders/val differ: ring', 'make them'),
}
# fmt: on


@pytest.mark.parametrize('case', BROKEN)
def test_broken_data_are_named_with_a_remedy_and_nothing_is_written(own, case):
    form, breaks, where, remedy = BROKEN[case]
    if form in ('voc', 'yolo'):
        pytest.importorskip('supervision')
    breaks()
    form, values = ('maps', '012345678') if form == 'values' else (form, ())
    with pytest.raises(UserError) as caught:
        write(form, label_values=values)
    message = str(caught.value)
    assert where in message
    assert remedy in message
    assert not Path('mine.py').exists()
    assert not Path('mine_data').exists()


@pytest.mark.parametrize(
    ('form', 'arguments', 'words'),
    [
        ('coco', dict(out='mine'), 'a config is a Python file, such as mine.py'),
        ('coco', dict(classes=['ring', 'circel']), 'circel; did you mean circle?'),
        ('voc', dict(classes=['circel', 'ring']), 'circel; did you mean circle?'),
        ('coco', dict(classes=['ring', 'ring']), 'classes: has ring more than once'),
        ('coco', dict(train='mine_data/a.json'), 'goes to mine_data, where mine_data/a.json'),
        ('coco', dict(batch=0), '--batch 0: must be at least 1'),
        ('maps', dict(classes=['ring']), 'ring alone cannot be told from anything'),
        ('coco', dict(model='yolo'), '--model yolo: for detection it is one of'),
        ('folders', dict(model='yolov3'), 'for classification it is one of none'),
        ('maps', dict(width=1.3), '--width 1.3: for segmentation only 1.0'),
        ('coco', dict(weights='coco/trane.json'), 'did you mean train.json'),
        ('coco', dict(train='coco'), 'coco has no labels (coco/train.json, coco/val.json)'),
        ('coco', dict(images='coco/pix'), '--images or --val-images coco/pix: there is no'),
        ('coco', dict(images='folders'), 'are not in folders: give another folder'),
        ('voc', dict(images='folders'), 'images that are not in folders'),
        ('maps', dict(label_values=['0', '255']), 'there are 9 classes and 2 --label-values'),
        ('maps', dict(map_suffix='_x.png'), 'label maps (none)'),
        ('folders', dict(classes=['a', 'b']), '--classes: here the classes are the folders'),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named_with_what_is_allowed(own, form, arguments, words):
    with pytest.raises(UserError) as caught:
        write(form, **arguments)
    assert words in str(caught.value)


def test_a_config_is_replaced_only_with_overwrite(own):
    Path('mine.py').write_text('precious = True\n')
    with pytest.raises(UserError, match='--overwrite replaces it'):
        write('coco')
    assert write('coco', overwrite=True).classes


def test_an_error_leaves_the_config_and_what_was_converted_before(own):
    def files() -> dict[Path, bytes]:
        paths = [Path('mine.py'), *Path('mine_data').rglob('*.png')]
        return {path: path.read_bytes() for path in paths}

    write('maps', label_values='012345678')
    before = files()
    train, val = (
        sorted(Path('maps/ann_dir', part).iterdir()) for part in ('train', 'val')
    )
    shutil.copy(train[1], train[0])
    val[0].write_bytes(b'')
    with pytest.raises(UserError, match='cannot be read as a label map'):
        write('maps', label_values='012345678', overwrite=True)
    assert files() == before


def test_classes_and_images_without_objects_are_noted(own):
    def change(content: dict) -> None:
        content['annotations'] = [
            e for e in content['annotations'] if e['image_id'] != 1
        ]
        content['categories'].append(dict(id=99, name='ghost'))

    edit_json(TRAIN, change)
    notes = []
    write('coco', notes, classes=CLASSES[:7])
    assert any(
        re.search(r'triangle \(\d\), ghost \(0\) are left out', n) for n in notes
    )
    assert any('images without objects are left out' in line for line in notes)
    assert json.loads(Path(TRAIN).read_text())['categories'][-1]['name'] == 'ghost'
