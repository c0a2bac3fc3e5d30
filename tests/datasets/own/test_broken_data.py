"""Broken data sets end in a message: the file, the entry, and what to do about it."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmghost.datasets.own import new_config
from mmghost.datasets.own.making import Choices
from mmghost.checks.preflight import preflight, raise_if_fatal
from mmghost.errors import UserError
from tests.engine.toys import forget_runners, read_all

from .breaking import (
    TRAIN,
    VAL,
    WAYS,
    cut,
    cut_rle,
    edit,
    remove,
    repaint,
    swap,
    text,
    write,
)

A_LABEL = 'yolo/labels/train/train_000000000001.txt'
VOC = 'voc/ImageSets/Main/train.txt', 'voc/ImageSets/Main/val.txt'
AN_XML = 'voc/Annotations/train_000000000001.xml'
# form, what breaks it, the words of file or entry, and those of the remedy
# fmt: off
BROKEN = {
    'empty JSON': ('coco', text(TRAIN, ''), 'coco/train.json: is cut short', 'unpack it again'),
    'JSON cut short': ('coco', cut(TRAIN), 'coco/train.json: is cut short', 'unpack it again'),
    'JSON is a list': ('coco', text(TRAIN, '[]'), 'coco/train.json: is not in COCO form', 'object'),
    'JSON is a picture': ('coco', text(TRAIN, b'\x89PNG\xff\xfe'), 'coco/train.json: is no JSON text', ''),
    'no categories': ('coco', edit(TRAIN, 'categories', None), "no list 'categories'", 'a COCO JSON has'),
    'no pictures': ('coco', edit(TRAIN, 'images', []), 'coco/train.json', 'is it the right file?'),
    'no annotations': ('coco', edit(TRAIN, 'annotations', []), 'has no annotations', 'is it the right file?'),
    'a picture is missing': ('coco', remove('coco/images/train_000000000003.jpg'), 'train_000000000003.jpg', 'copy them again'),
    'a picture is cut short': ('coco', cut('coco/images/train_000000000003.jpg'), 'train_000000000003.jpg is cut short', 'copy them again'),
    'a picture is empty': ('coco', text('coco/images/train_000000000003.jpg', ''), 'train_000000000003.jpg is empty', 'copy them again'),
    'a picture is text': ('coco', text('coco/images/train_000000000003.jpg', 'hello' * 99), 'train_000000000003.jpg is not a picture', 'copy them again'),
    'the picture folder is gone': ('coco', remove('coco/images'), 'are in none of', '--images'),
    'a box of three numbers': ('coco', edit(TRAIN, 'annotations.2.bbox', [1, 2, 3]), 'not four numbers: id 3', 'mend these entries'),
    'a box that is no number': ('coco', edit(TRAIN, 'annotations.2.bbox.1', float('nan')), 'not four numbers: id 3', 'mend these entries'),
    'a box of words': ('coco', edit(TRAIN, 'annotations.2.bbox.1', 'wide'), 'not four numbers: id 3', 'mend these entries'),
    'no box': ('coco', edit(TRAIN, 'annotations.2.bbox', None), 'without bbox: annotations[2]', 'mend these entries'),
    'no area': ('coco', edit(TRAIN, 'annotations.2.area', None), 'without area: annotations[2]', 'add area'),
    'area in words': ('coco', edit(TRAIN, 'annotations.2.area', 'big'), 'area is no number: id 3', 'mend these entries'),
    'no iscrowd to evaluate': ('coco', edit(VAL, 'annotations.2.iscrowd', None), 'without iscrowd: annotations[2]', 'add "iscrowd": 0'),
    'an unknown category': ('coco', edit(TRAIN, 'annotations.2.category_id', 99), 'id 3 (category_id 99)', 'add it to categories'),
    'an unknown picture': ('coco', edit(TRAIN, 'annotations.2.image_id', 99), 'id 3 (image_id 99)', 'add the picture to images'),
    'an id twice': ('coco', edit(TRAIN, 'annotations.2.id', 1), 'id that another has: id 1', 'number them anew'),
    'a picture id twice': ('coco', edit(TRAIN, 'images.2.id', 1), 'id that another has: id 1', 'number them anew'),
    'an id that is a list': ('coco', edit(TRAIN, 'images.2.id', [1]), 'id is no number: images[2]', 'mend these entries'),
    'a reference that is a list': ('coco', edit(TRAIN, 'annotations.2.image_id', [1]), 'ids are no numbers: annotations[2]', 'mend these entries'),
    'a category twice': ('coco', edit(TRAIN, 'categories.1.name', 'circle'), 'another has: circle', 'give each category one entry'),
    'a category without a name': ('coco', edit(TRAIN, 'categories.1.name', None), 'without name: categories[1]', 'mend these entries'),
    'an annotation that is a number': ('coco', edit(TRAIN, 'annotations.2', 7), 'annotations[2]', 'mend these entries'),
    'a picture without a name': ('coco', edit(TRAIN, 'images.2.file_name', None), 'without file_name: images[2]', 'mend these entries'),
    'a name that is a number': ('coco', edit(TRAIN, 'images.2.file_name', 5), 'file_name is no text: images[2]', 'mend these entries'),
    'a picture of no width': ('coco', edit(TRAIN, 'images.2.width', 0), 'images[2]', 'mend these entries'),
    'another size': ('coco', edit(TRAIN, 'images.2.width', 50), 'train_000000000003.jpg (50x96, in truth 96x96)', 'mend width and height'),
    'val lacks a class': ('coco', edit(VAL, 'categories.2.name', 'moon'), 'coco/val.json: has no category', 'to its categories'),
    'val is not there': ('coco', remove(VAL), '--val coco/val.json: there is no such file', ''),
    'no masks': ('masks', edit(TRAIN, 'annotations.2.segmentation', None), 'without a segmentation, which masks need: id 3', 'label outlines'),
    'a polygon of two points': ('masks', edit(TRAIN, 'annotations.2.segmentation', [[1, 2, 3, 4]]), 'no polygons and no RLE: id 3', 'a polygon is'),
    'a polygon to nowhere': ('masks', edit(TRAIN, 'annotations.2.segmentation', [[1, 2, 3, 4, 5, 1e30]]), 'no polygons and no RLE: id 3', 'a polygon is'),
    'an RLE cut short': ('masks', cut_rle(TRAIN, 2), 'RLE does not fill their picture: id 3', 'counts add up'),
    'an RLE of another size': ('masks', edit(TRAIN, 'annotations.2.segmentation.size', [96, 95]), 'RLE does not fill their picture: id 3', 'counts add up'),
    'a mask of words': ('masks', edit(TRAIN, 'annotations.2.segmentation', 'round'), 'no polygons and no RLE: id 3', 'a polygon is'),
    'XML cut short': ('voc', cut(AN_XML), f'{AN_XML} (', 'mend or remove these files'),
    'XML of something else': ('voc', text(AN_XML, '<svg></svg>'), '(begins with <svg>)', 'mend or remove these files'),
    'XML bomb': ('voc', text(AN_XML, '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'), f'{AN_XML} (Entit', 'mend or remove these files'),
    'XML without a name': ('voc', swap(AN_XML, 'name>', 'nom>'), f'{AN_XML} (', 'mend or remove these files'),
    'XML without a box': ('voc', swap(AN_XML, '<bndbox>', '<box>'), f'{AN_XML} (', 'mend or remove these files'),
    'XML with words': ('voc', swap(AN_XML, '<xmin>', '<xmin>about '), f'{AN_XML} (', 'mend or remove these files'),
    'XML of another size': ('voc', swap(AN_XML, '<width>96', '<width>480'), f'{AN_XML} (480x96, the picture 96x96)', 'label it again'),
    'VOC picture is missing': ('voc', remove('voc/JPEGImages/train_000000000002.jpg'), 'train_000000000002.jpg', 'copy them again'),
    'VOC list is empty': ('voc', text(WAYS['voc'][1], ''), 'train.txt is empty', 'one picture in each line'),
    'YOLO line too short': ('yolo', text(A_LABEL, '0 .5 .5 .1\n'), f"{A_LABEL} line 1 ('0 .5 .5 .1')", 'a line is'),
    'YOLO words': ('yolo', text(A_LABEL, '0 .5 .5 .1 .1\ncat .5 .5 .1 .1'), f"{A_LABEL} line 2 ('cat", 'a line is'),
    'YOLO class unknown': ('yolo', text(A_LABEL, '8 .5 .5 .1 .1'), f'(0 to 7): {A_LABEL} line 1', 'add its name to the classes'),
    'YOLO in pixels': ('yolo', text(A_LABEL, '0 40 40 20 20'), f'{A_LABEL} line 1', 'from 0 to 1'),
    'YOLO not finite': ('yolo', text(A_LABEL, '0 nan .5 .1 .1'), f'{A_LABEL} line 1', 'a line is'),
    'YOLO label is a picture': ('yolo', text(A_LABEL, b'\xff\xd8\xff\xe0'), A_LABEL, 'label these pictures again'),
    'YOLO labels are gone': ('yolo', remove('yolo/labels'), 'no picture has labels', 'YOLO labels lie'),
    'data.yaml without names': ('yolo', swap('yolo/data.yaml', 'names:', 'nom:'), 'data.yaml: names is None', 'it should list the classes'),
    'data.yaml with a gap': ('yolo', text('yolo/data.yaml', 'train: images/train\nval: images/val\nnames: {0: a, 2: b}'), 'names has the keys 0, 2', 'from 0 to 1'),
    'data.yaml is no YAML': ('yolo', text('yolo/data.yaml', 'train: [images'), 'data.yaml is no valid YAML', ''),
    'data.yaml without val': ('yolo', swap('yolo/data.yaml', 'val:', 'test:'), 'data.yaml: val is None', 'the folder of the pictures'),
    'data.yaml with a wrong folder': ('yolo', swap('yolo/data.yaml', 'images/val', 'images/v'), 'there is no folder', ''),
    'a label map with another value': ('maps', repaint('maps/ann_dir/train/*.png', 'value'), 'holds 77', '9 classes go from 0 to 8'),
    'a label map of another size': ('maps', repaint('maps/ann_dir/train/*.png', 'size'), 'is 33x44 px', 'has the size of its picture'),
    'a label map in colour': ('maps', repaint('maps/ann_dir/val/*.png', 'colour'), 'is a picture in colour', 'one number for each pixel'),
    'a label map cut short': ('maps', cut('maps/ann_dir/train/*.png'), 'is cut short', 'copy them again'),
    'a label map is missing': ('maps', remove('maps/ann_dir/train/*.png'), '.png', 'copy them again'),
    'no label maps': ('maps', remove('maps/ann_dir'), 'no label maps', '--train-maps'),
    'no names of classes': ('maps', remove('maps/classes.txt'), 'label maps hold numbers', '--classes'),
    'too few classes': ('maps', text('maps/classes.txt', 'none\na'), '2 classes go from 0 to 1', 'num_classes'),
    'val lacks a class folder': ('folders', remove('folders/val/ring'), 'ring (only in train)', 'the same folders'),
    'a class folder is empty': ('folders', lambda root: [p.unlink() for p in (root / 'folders/train/ring').iterdir()], 'no picture of the classes ring', 'put some there'),
    'a class picture is cut short': ('folders', cut('folders/train/ring/*.jpg'), 'is cut short', 'copy them again'),
    'class folders are gone': ('folders', remove('folders/train'), '--train folders/train: there is no such folder', ''),
}
# fmt: on


@pytest.mark.parametrize('case', BROKEN)
def test_new_config_names_file_entry_and_remedy_and_writes_nothing(own, case):
    form, breaks, where, remedy = BROKEN[case]
    breaks(own)
    with pytest.raises(UserError) as caught:
        write(form)
    message = str(caught.value)
    assert where in message
    assert remedy in message
    assert not (own / 'mine.py').exists()
    assert not (own / 'mine_data').exists()


IN_PLACE = [
    case
    for case, (form, *_) in BROKEN.items()
    if form in ('coco', 'maps', 'folders')
    # What a config cannot know: it names folders, classes and no sizes.
    and case
    not in (
        'another size',
        'no names of classes',
        'too few classes',
        'class folders are gone',
        'a class folder is empty',  # a note there
    )
]


@pytest.fixture(scope='session')
def good_configs(forms, tmp_path_factory) -> dict[str, str]:
    """The configs of the whole data sets, by form; their paths are relative."""
    texts = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(forms)
        for form in ('coco', 'maps', 'folders'):
            path = write(form)
            texts[form] = path.read_text()
            path.unlink()
    return texts


@pytest.mark.parametrize('case', IN_PLACE)
def test_check_dataset_finds_what_broke_after_the_config_was_written(
    own, good_configs, case
):
    form, breaks, *_ = BROKEN[case]
    (own / 'mine.py').write_text(good_configs[form])
    breaks(own)
    with pytest.raises(UserError) as caught:
        problems = preflight(
            Config.fromfile('mine.py'), picture_seconds=99, decode=True
        )
        raise_if_fatal(problems, lambda line: None)
    assert 'folders/' in str(caught.value) or form in str(caught.value)


@pytest.mark.parametrize('form', WAYS)
def test_whole_data_sets_give_a_config_that_the_checks_pass(own, form):
    path = write(form)
    assert preflight(Config.fromfile(path), ('train', 'val', 'test')) == []


def shuffled(content: Any, chance: random.Random) -> None:
    """Break a JSON at one random place."""
    node = content
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = chance.choice(list(keys))
        inner = node[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.9:
            node = inner
            continue
        what = chance.choice(
            [
                None,
                -1,
                0,
                1e30,
                10**400,
                float('nan'),
                '',
                'x',
                [],
                {},
                [[]],
                True,
                'remove',
            ]
        )
        if what == 'remove':
            del node[key]
        else:
            node[key] = what
        return


def fuzz(own: Path, seed: int) -> None:
    chance = random.Random(seed)
    form = chance.choice(['coco', 'masks'])
    name = chance.choice([TRAIN, VAL])
    content = json.loads((own / name).read_text())
    for _ in range(chance.choice([1, 1, 3])):
        shuffled(content, chance)
    (own / name).write_text(json.dumps(content))
    try:
        path = write(form)
    except UserError as error:
        assert str(error)
        assert not (own / 'mine.py').exists()
    else:
        # What passes must be readable by mmdet, too.
        for loader in ('train', 'val'):
            read_all(Config.fromfile(path), loader)
        forget_runners()
        path.unlink()


@pytest.mark.parametrize('seed', range(8))
def test_annotations_broken_at_random_end_in_words_or_train(own, seed):
    fuzz(own, seed)


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(8, 300))
def test_many_annotations_broken_at_random_end_in_words_or_train(own, seed):
    fuzz(own, seed)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (dict(task='detect'), "task 'detect': it is one of"),
        (dict(out='mine'), 'a config is a Python file, mine.py'),
        (dict(classes=['ring', 'ring']), '--classes: ring stands there twice'),
        (
            dict(classes=['circle', 'circel']),
            '--classes: circel is no category of coco/train.json; did you mean circle?',
        ),
        (
            dict(train=VOC[0], val=VOC[1], classes=['circel', 'ring']),
            '--classes: no object is called circel; did you mean circle?',
        ),
        (
            dict(train=VOC[0], val=VOC[1], classes=['circel']),
            'train.txt is called circel; did you mean circle?',
        ),
        (
            dict(choices=Choices(model='yolo')),
            '--model yolo: for detection it is one of',
        ),
        (dict(choices=Choices(width=1.2)), '--width 1.2: weights are published for'),
        (dict(choices=Choices(size=7)), '--size 7: it goes from 32'),
        (dict(choices=Choices(weights='coco/trane.json')), 'did you mean train.json'),
        (dict(train='coco'), 'coco holds train.json and val.json: name one of them'),
        (
            dict(images=('coco/pictures', None)),
            '--images: there is no folder coco/pictures',
        ),
        (
            dict(images=('folders', 'folders')),
            'none of the 16 pictures of coco/train.json, such as '
            'train_000000000001.jpg, is in folders: is --images the right folder?',
        ),
        (
            dict(images=('coco/images', 'folders')),
            'is in folders: is --val-images (by default --images) the right folder?',
        ),
        (
            dict(
                train='voc/ImageSets/Main/train.txt',
                val='voc/ImageSets/Main/val.txt',
                images=('folders', 'folders'),
            ),
            'none of the 16 pictures of voc/ImageSets/Main/train.txt, such as',
        ),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(own, arguments, words):
    given = dict(task='detection', train=TRAIN, val=VAL, out='mine.py') | arguments
    with pytest.raises(UserError) as caught:
        new_config(**given, note=lambda line: None)
    assert words in str(caught.value)


def test_a_config_that_is_there_is_replaced_only_when_asked(own):
    (own / 'mine.py').write_text('precious = True\n')
    with pytest.raises(UserError, match='--overwrite replaces it'):
        write('coco')
    (own / TRAIN).write_text('')
    with pytest.raises(UserError, match='is cut short'):
        new_config(
            'detection', TRAIN, VAL, 'mine.py', overwrite=True, note=lambda line: None
        )
    assert (own / 'mine.py').read_text() == 'precious = True\n'
