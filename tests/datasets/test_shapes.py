"""The Shapes data set: its pictures, its labels, its files and who reads them."""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmghost.datasets.shapes import (
    draw_picture,
    draw_single,
    make_shapes,
    making,
    parse_classes,
)
from mmghost.datasets.shapes.classes import HUES, KINDS, PATTERNS
from mmghost.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SMALL = dict(train=6, val=3, size=64, progress=False)
DEFAULT_CLASSES = (
    'circle',
    'crescent',
    'cross',
    'heart',
    'ring',
    'square',
    'star',
    'triangle',
)


def digests(folder: Path) -> dict[str, str]:
    """What is in every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def same_picture(a, b) -> bool:
    return (
        np.array_equal(a.image, b.image)
        and [i.label for i in a.instances] == [i.label for i in b.instances]
        and all(
            np.array_equal(i.mask, j.mask) for i, j in zip(a.instances, b.instances)
        )
    )


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """A small data set in all layouts with pictures of several sizes."""
    out = tmp_path_factory.mktemp('shapes')
    return make_shapes(
        out, train=12, val=4, size=(64, 80), max_size=(96, 128), progress=False
    )


def coco_json(shapes, split: str) -> dict:
    path = shapes.out / 'coco' / 'annotations' / f'instances_{split}2017.json'
    return json.loads(path.read_text())


# -- pictures ----------------------------------------------------------------------------


def test_picture_depends_on_seed_split_and_index_only():
    forwards = [draw_picture(3, 'train', i) for i in range(4)]
    backwards = [draw_picture(3, 'train', i) for i in reversed(range(4))][::-1]
    assert all(same_picture(a, b) for a, b in zip(forwards, backwards))
    others = [
        draw_picture(3, 'val', 0),
        draw_picture(4, 'train', 0),
        draw_single(3, 'train', 0, label=0),
        draw_single(3, 'train', 0, label=1),
        draw_single(3, 'val', 0, label=0),
    ]
    images = {p.image.tobytes() for p in (*forwards, *others)}
    assert len(images) == len(forwards) + len(others)


def test_labels_of_seed_0_are_those_of_drawing_version_1():
    """Results on Shapes stay comparable; whoever changes this bumps DRAWING_VERSION."""
    found = [
        [(i.label, *i.bbox, i.area) for i in draw_picture(0, 'val', n).instances]
        for n in range(2)
    ]
    assert found == [
        [
            (2, 143, 0, 49, 55, 1217),
            (4, 95, 23, 93, 102, 4750),
            (7, 91, 18, 49, 43, 1086),
            (7, 16, 41, 58, 47, 1337),
        ],
        [
            (1, 5, 66, 126, 121, 5519),
            (7, 16, 138, 32, 35, 552),
            (2, 56, 65, 106, 91, 4362),
            (6, 50, 0, 98, 96, 3837),
            (6, 95, 46, 66, 65, 1582),
        ],
    ]


@pytest.mark.parametrize('size', [32, 33, (40, 200), (300, 64)])
def test_instances_are_consistent_at_any_size(size):
    for index in range(12):
        picture = draw_picture(1, 'train', index, size=size, objects=(1, 12))
        height, width = (size, size) if isinstance(size, int) else size
        assert picture.image.shape == (height, width, 3)
        assert picture.image.dtype == np.uint8
        assert picture.instances
        covered = np.zeros((height, width), int)
        for instance in picture.instances:
            x, y, w, h = instance.bbox
            assert instance.area == instance.mask.sum() >= 24
            inside = instance.mask[y : y + h, x : x + w]
            assert inside.sum() == instance.area
            # tight: the outermost rows and columns all hold some of it
            assert all(
                line.any()
                for line in (inside[0], inside[-1], inside[:, 0], inside[:, -1])
            )
            covered += instance.mask
        assert covered.max() == 1


def test_semantic_map_is_the_union_of_the_masks():
    for index in range(10):
        picture = draw_picture(2, 'val', index)
        rebuilt = np.zeros(picture.semantic.shape, np.uint8)
        for instance in picture.instances:
            rebuilt[instance.mask] = instance.label + 1
        assert np.array_equal(picture.semantic, rebuilt)
        assert picture.semantic.dtype == np.uint8
        assert (picture.semantic == 0).any()


def test_ring_has_a_hole_and_the_others_have_none():
    classes = parse_classes(10)
    for label, look in enumerate(classes):
        drawn = (
            draw_single(0, 'train', i, label, classes=classes).instances[0]
            for i in range(50)
        )
        # One that the picture's border does not cut open.
        mask = next(i.mask for i in drawn if not touches_border(i.mask))
        grounds = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)[0]
        assert (grounds - 1 == 2) == (look.kind == 'ring'), look.name


def touches_border(mask: np.ndarray) -> bool:
    return any(m.any() for m in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


def test_masks_lie_where_the_shapes_are_painted():
    """Swap the shapes' colours for the ground's: what changes is the mask, no more.

    The same picture with and without its front shape differs inside the shape only, up
    to the blur's reach (2 px) - which a mask that is off by a few pixels would break.
    """
    from mmghost.datasets.shapes import painting, placing

    rng = np.random.default_rng(0)
    shape = (160, 160)
    ground = painting.background(rng, shape)
    placed = placing.place_shapes(rng, shape, parse_classes(8), [7, 3, 4], (0.3, 0.6))
    painted = ground.copy()
    union = np.zeros(shape, bool)
    for item in placed:
        painting.paint(rng, painted, item, parse_classes(8)[item.label])
        union[item.window] |= item.visible
    changed = np.abs(painted - ground).max(axis=2) > 1
    edge = cv2.dilate(union.astype(np.uint8), np.ones((3, 3))) > 0
    assert not (changed & ~edge).any()  # 1 px: anti-aliased edges below one half
    assert (changed & union).sum() > 0.97 * union.sum()  # a colour may happen to agree


def test_colour_and_pattern_do_not_give_the_class_away():
    """A class's mean colour differs from another's by chance only.

    A plain shape's mean BGR has a standard deviation of about 60 per channel, so the
    mean of 60 pictures has one of 8; 5 of them allow for the largest of 24 values.
    """
    means = np.array(
        [
            [
                picture.image[picture.instances[0].mask].mean(axis=0)
                for picture in (
                    draw_single(0, 'train', i, label, size=48) for i in range(60)
                )
            ]
            for label in range(8)
        ]
    )
    by_class = means.mean(axis=1)
    assert np.abs(by_class - by_class.mean(axis=0)).max() < 40


def test_all_classes_occur_about_equally_often():
    labels = [
        i.label
        for n in range(200)
        for i in draw_picture(0, 'train', n, size=48).instances
    ]
    counts = np.bincount(labels, minlength=8)
    # About 85 each; thin kinds lose a few more places. A missing class would be 0.
    assert counts.min() > 50


def test_number_of_shapes_is_within_bounds():
    counts = {
        len(draw_picture(0, 'train', i, objects=(2, 3)).instances) for i in range(30)
    }
    assert counts <= {1, 2, 3}
    assert {2, 3} <= counts


# -- classes -----------------------------------------------------------------------------


def test_class_names_say_what_is_drawn():
    assert tuple(look.name for look in parse_classes(8)) == DEFAULT_CLASSES
    looks = parse_classes(1000)
    assert len(set(looks)) == 1000
    assert len({look.name for look in looks}) == 1000
    assert {look.kind for look in looks} == set(KINDS)
    assert {look.pattern for look in looks} == set(PATTERNS)
    assert {look.hue for look in looks} == set(HUES)
    assert [look.name for look in parse_classes(['star', 'circle'])] == [
        'circle',
        'star',
    ]


def test_kinds_look_different():
    """No two kinds, each turned to fit best, share more than 85 % of their pixels."""
    masks = {}
    for kind, outlines in KINDS.items():
        masks[kind] = []
        for angle in np.arange(0, 360, 15):
            a = np.radians(angle)
            turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
            canvas = np.zeros((128, 128), np.uint8)
            points = [np.rint(o @ turn * 60 + 64).astype(np.int32) for o in outlines]
            masks[kind].append(cv2.fillPoly(canvas, points, 1).astype(bool))
    for a in KINDS:
        for b in KINDS:
            if a >= b:
                continue
            best = max(
                (masks[a][0] & m).sum() / (masks[a][0] | m).sum() for m in masks[b]
            )
            assert best < 0.85, (a, b, best)


def test_hue_of_a_class_is_the_hue_in_the_picture():
    for hue, degrees in HUES.items():
        picture = draw_single(0, 'train', 0, 0, classes=[f'{hue}-plain-circle'])
        bgr = np.median(picture.image[picture.instances[0].mask], axis=0)
        hsv = cv2.cvtColor(np.uint8([[bgr]]), cv2.COLOR_BGR2HSV)[0, 0]
        difference = (2 * int(hsv[0]) - degrees + 180) % 360 - 180
        assert abs(difference) <= 12  # drawn within 8, plus noise and rounding


# -- files -------------------------------------------------------------------------------


def test_same_bytes_whatever_workers_and_hash_seed(tmp_path):
    make_shapes(tmp_path / 'a', **SMALL)
    make_shapes(tmp_path / 'b', workers=2, **SMALL)
    code = (
        'from mmghost.datasets.shapes import make_shapes;'
        f'make_shapes({str(tmp_path / "c")!r}, **{SMALL!r})'
    )
    environment = {**os.environ, 'PYTHONHASHSEED': '77', 'PYTHONPATH': str(ROOT)}
    subprocess.run([sys.executable, '-c', code], check=True, env=environment)
    first = digests(tmp_path / 'a')
    assert len(first) == 9 * 3 + 16 + 2 + 3 + 1
    assert digests(tmp_path / 'b') == first
    assert digests(tmp_path / 'c') == first


def test_larger_set_begins_with_the_smaller(tmp_path):
    make_shapes(tmp_path / 'a', **SMALL)
    make_shapes(tmp_path / 'b', **{**SMALL, 'train': 20})
    large = digests(tmp_path / 'b')
    for name, digest in digests(tmp_path / 'a').items():
        if Path(name).suffix in ('.jpg', '.png'):
            assert large[name] == digest


def test_splits_share_no_picture(shapes):
    for layout in ('coco', 'imagenet'):
        found = [digests(shapes.out / layout / s) for s in layout_splits(layout)]
        assert not set(found[0].values()) & set(found[1].values())


def layout_splits(layout: str) -> tuple[str, str]:
    return ('train2017', 'val2017') if layout == 'coco' else ('train', 'val')


def test_coco_masks_boxes_and_areas_agree_by_pycocotools(shapes, capsys):
    coco_module = pytest.importorskip('pycocotools.coco')
    from pycocotools import mask as mask_tools

    for split in ('train', 'val'):
        path = shapes.out / 'coco' / 'annotations' / f'instances_{split}2017.json'
        coco = coco_module.COCO(str(path))
        assert len(coco.anns) == shapes.instances[split] > 0
        assert [c['name'] for c in coco.cats.values()] == list(DEFAULT_CLASSES)
        for number, image in enumerate(coco.imgs.values()):
            folder = shapes.out / 'coco' / f'{split}2017'
            pixels = cv2.imread(str(folder / image['file_name']))
            assert pixels.shape == (image['height'], image['width'], 3)
            drawn = draw_picture(0, split, number, size=(64, 80), max_size=(96, 128))
            annotations = coco.imgToAnns[image['id']]
            assert len(annotations) == len(drawn.instances)
            for annotation, instance in zip(annotations, drawn.instances):
                rle = coco.annToRLE(annotation)
                assert mask_tools.area(rle) == annotation['area']
                assert mask_tools.toBbox(rle).tolist() == annotation['bbox']
                assert np.array_equal(coco.annToMask(annotation), instance.mask)
                assert annotation['category_id'] == instance.label + 1


def test_coco_ids_are_unique_across_the_splits(shapes):
    train, val = coco_json(shapes, 'train'), coco_json(shapes, 'val')
    for lists in (train, val):
        assert {'info', 'licenses', 'categories', 'images', 'annotations'} <= set(lists)
    images = [i['id'] for i in train['images'] + val['images']]
    assert len(images) == len(set(images)) == 16
    for lists in (train, val):
        ids = [a['id'] for a in lists['annotations']]
        assert len(ids) == len(set(ids))


def test_label_maps_equal_the_masks_and_pictures_are_shared(shapes):
    ade = shapes.out / 'ade' / 'ADEChallengeData2016'
    for index in range(12):
        name = f'training/ADE_train_{index + 1:08d}'
        labels = cv2.imread(
            str(ade / 'annotations' / f'{name}.png'), cv2.IMREAD_UNCHANGED
        )
        drawn = draw_picture(0, 'train', index, size=(64, 80), max_size=(96, 128))
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, drawn.semantic)
        picture = ade / 'images' / f'{name}.jpg'
        coco = shapes.out / 'coco' / 'train2017' / f'{index + 1:012d}.jpg'
        assert picture.read_bytes() == coco.read_bytes()


def test_pictures_are_copied_where_hard_links_fail(tmp_path, monkeypatch):
    make_shapes(tmp_path / 'linked', **SMALL)

    def no_link(*_):
        raise OSError('no hard links here')

    monkeypatch.setattr(os, 'link', no_link)
    make_shapes(tmp_path / 'copied', **SMALL)
    assert digests(tmp_path / 'copied') == digests(tmp_path / 'linked')


def test_class_folders_and_meta_agree(shapes):
    root = shapes.out / 'imagenet'
    classes = (root / 'meta' / 'classes.txt').read_text().split()
    assert classes == sorted(classes) == list(DEFAULT_CLASSES)
    for split in ('train', 'val'):
        lines = (root / 'meta' / f'{split}.txt').read_text().splitlines()
        assert len(lines) == shapes.pictures['imagenet'][split]
        found = {
            p.relative_to(root / split).as_posix() for p in root.glob(f'{split}/*/*')
        }
        assert {line.split()[0] for line in lines} == found
        for line in lines:
            name, label = line.split()
            assert name.split('/')[0] == classes[int(label)]


def test_like_originals_has_their_classes(tmp_path):
    made = make_shapes(
        tmp_path, train=3, val=1, size=32, like_originals=True, progress=False
    )
    assert {k: len(v) for k, v in made.classes.items()} == {
        'coco': 80,
        'ade': 150,
        'imagenet': 1000,
    }
    categories = coco_json(made, 'train')['categories']
    assert [categories[i]['id'] for i in (0, 11, 12, 79)] == [1, 13, 14, 90]
    assert [categories[i]['name'] for i in (0, 12, 79)] == [
        'person',
        'parking meter',
        'toothbrush',
    ]
    assert categories[0]['supercategory'] == made.classes['coco'][0]
    folders = sorted(p.name for p in (tmp_path / 'imagenet' / 'train').iterdir())
    assert len(folders) == 1000
    assert (folders[0], folders[-1]) == ('n00000000', 'n00000999')
    # Labels are those of their own classes: up to 150 in ADE's maps.
    drawn = draw_picture(0, 'train', 0, size=32, classes=150)
    labels = cv2.imread(
        str(
            tmp_path
            / 'ade/ADEChallengeData2016/annotations/training/ADE_train_00000001.png'
        ),
        cv2.IMREAD_UNCHANGED,
    )
    assert np.array_equal(labels, drawn.semantic)


# -- being made once ---------------------------------------------------------------------


def test_whole_data_set_is_left_alone(tmp_path):
    assert make_shapes(tmp_path, **SMALL).made
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')}
    start = time.process_time()  # not the wall's, which a busy machine stretches
    again = make_shapes(tmp_path, **{**SMALL, 'workers': 2})
    assert time.process_time() - start < 1
    assert not again.made
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')} == before


def test_interrupted_data_set_is_made_anew(tmp_path, monkeypatch):
    make_shapes(tmp_path / 'undisturbed', **SMALL)
    write = making.write_picture

    def interrupted(out, plan, job):
        if job.split == 'val':
            raise KeyboardInterrupt
        return write(out, plan, job)

    out = tmp_path / 'out'
    monkeypatch.setattr(making, 'write_picture', interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_shapes(out, **SMALL)
    assert not (out / making.MANIFEST).exists()
    assert (out / making.UNFINISHED).exists()
    monkeypatch.undo()
    # A cut-off file, as a power failure may leave.
    (out / 'coco/train2017/000000000001.jpg').write_bytes(b'half a pict')
    assert make_shapes(out, **SMALL).made
    assert digests(out) == digests(tmp_path / 'undisturbed')


def test_leftovers_of_an_interrupted_overwriting_are_removed(tmp_path, monkeypatch):
    out = tmp_path / 'out'
    make_shapes(out, **{**SMALL, 'train': 20})

    def interrupted(*_):
        raise OSError('no space left on device')

    monkeypatch.setattr(making, 'write_picture', interrupted)
    with pytest.raises(OSError, match='no space left'):
        make_shapes(out, **{**SMALL, 'train': 15, 'seed': 1}, overwrite=True)
    monkeypatch.undo()
    make_shapes(out, **SMALL)
    make_shapes(tmp_path / 'undisturbed', **SMALL)
    assert digests(out) == digests(tmp_path / 'undisturbed')


def test_lost_file_is_noticed(tmp_path):
    make_shapes(tmp_path, **SMALL)
    before = digests(tmp_path)
    (tmp_path / 'coco/train2017/000000000002.jpg').unlink()
    assert make_shapes(tmp_path, **SMALL).made
    assert digests(tmp_path) == before


def test_other_arguments_are_refused_and_overwritten_on_demand(tmp_path):
    out = tmp_path / 'out'
    make_shapes(out, **SMALL)
    (out / 'coco' / 'notes.txt').write_text('mine')
    (out / 'imagenet' / 'train' / 'circle' / 'mine.jpg').write_bytes(b'mine')
    before = digests(out)
    other = {**SMALL, 'train': 4, 'only': 'coco', 'classes': 3}
    with pytest.raises(FileExistsError, match=r'train: 6 there, 4 wanted.*overwrite'):
        make_shapes(out, **other)
    assert digests(out) == before

    assert make_shapes(out, **other, overwrite=True).made
    make_shapes(tmp_path / 'undisturbed', **other)
    after = digests(out)
    assert after.pop('coco/notes.txt') and after.pop('imagenet/train/circle/mine.jpg')
    assert after == digests(tmp_path / 'undisturbed')
    assert not (out / 'ade').exists()  # emptied folders go too


@pytest.mark.parametrize('overwrite', [False, True])
@pytest.mark.parametrize('made_before', [False, True])
def test_files_of_others_are_never_replaced(tmp_path, overwrite, made_before):
    if made_before:
        make_shapes(tmp_path, **{**SMALL, 'only': 'ade'})
    theirs = tmp_path / 'coco' / 'annotations' / 'instances_train2017.json'
    theirs.parent.mkdir(parents=True)
    theirs.write_text('the real COCO')
    before = digests(tmp_path)
    with pytest.raises(FileExistsError):
        make_shapes(tmp_path, **SMALL, overwrite=overwrite)
    assert digests(tmp_path) == before


def test_manifest_cannot_point_outside_of_its_folder(tmp_path):
    """Files are removed by what the manifest says, so it is checked as arguments are."""
    victim = tmp_path / 'victim' / '000001.jpg'
    victim.parent.mkdir()
    victim.write_bytes(b'mine')
    out = tmp_path / 'out'
    make_shapes(out, **SMALL)
    manifest = json.loads((out / making.MANIFEST).read_text())
    manifest['plans'][0]['classes'] = ['../../../victim']
    (out / making.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(FileExistsError, match=r'shapes\.json is not as'):
        make_shapes(out, **{**SMALL, 'seed': 1}, overwrite=True)
    assert victim.read_bytes() == b'mine'


@pytest.mark.parametrize('text', ['', '[]', '{"plans": 3}', '{"plans": [{}]}'])
def test_broken_manifest_is_named(tmp_path, text):
    (tmp_path / making.MANIFEST).write_text(text)
    with pytest.raises(FileExistsError, match=r'shapes\.json is not as'):
        make_shapes(tmp_path, **SMALL)
    assert digests(tmp_path).keys() == {making.MANIFEST}


# -- wrong arguments ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(train=0), r'train=0: .* 1 to 999999'),
        (dict(val=-1), r'val=-1'),
        (dict(val=True), r'val=True'),
        (dict(train=2.5), r'train=2\.5'),
        (dict(seed=-3), r'seed=-3'),
        (dict(size=8), r'size=8: .* 32 to 8192'),
        (dict(size=(64, 64, 64)), r'size=\(64, 64, 64\)'),
        (dict(size='big'), r"size='big'"),
        (dict(size=64, max_size=48), r'max_size=48.*size=64'),
        (dict(objects=0), r'objects=0: .* 1 to 50'),
        (dict(objects=(4, 2)), r'objects=\(4, 2\)'),
        (dict(objects=(1, 2, 3)), r'objects=\(1, 2, 3\)'),
        (dict(classes=0), r'classes=0: 1 to 1000'),
        (dict(classes=1001), r'classes=1001'),
        (dict(classes=300), r'classes: 300 are too many'),
        (
            dict(classes=['circle', 'blob']),
            r"'blob' is unknown; a kind is one of circle",
        ),
        (dict(classes=['star', 'star']), r'named twice'),
        (dict(classes=['star', 'plain-star']), r'one form'),
        (dict(classes=[]), r'classes=\[\]'),
        (dict(only='voc'), r"only='voc': one or more of coco, ade, imagenet"),
        (dict(only=[]), r'only=\[\]'),
        (dict(workers=0), r'workers=0'),
    ],
)
def test_wrong_argument_is_named_and_nothing_is_written(tmp_path, wrong, message):
    out = tmp_path / 'out'
    with pytest.raises(ValueError, match=message):
        make_shapes(out, **{**SMALL, **wrong})
    assert not out.exists()


def test_drawing_names_wrong_arguments():
    with pytest.raises(ValueError, match=r"split='test': one of train, val"):
        draw_picture(0, 'test', 0)
    with pytest.raises(ValueError, match=r'index=-1'):
        draw_picture(0, 'val', -1)
    with pytest.raises(ValueError, match=r'label=8: .* 0 to 7'):
        draw_single(0, 'val', 0, label=8)


# -- speed -------------------------------------------------------------------------------


def test_thousand_pictures_of_192_px_take_half_a_minute():
    """Drawn in 7 ms each on one core at rest; 30 leaves room for a busy machine."""
    start = time.process_time()
    for index in range(40):
        draw_picture(0, 'train', index)
    assert (time.process_time() - start) / 40 < 0.030


# -- the tool ----------------------------------------------------------------------------


@pytest.fixture(scope='module')
def tool():
    path = ROOT / 'tools' / 'dataset_tools' / 'make_shapes.py'
    spec = importlib.util.spec_from_file_location('make_shapes_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tool_makes_what_its_arguments_say(tool, tmp_path, capsys):
    out = tmp_path / 'out'
    arguments = [str(out), '--train', '4', '--val', '2', '--size', '48', '64']
    arguments += ['--classes', '5', '--objects', '2', '--seed', '7', '--only', 'coco']
    tool.main(arguments)
    assert '4 + 2 pictures, 5 classes' in capsys.readouterr().out
    picture = cv2.imread(str(out / 'coco/val2017/000001000001.jpg'))
    assert picture.shape == (48, 64, 3)
    same = make_shapes(
        out, train=4, val=2, size=(48, 64), classes=5, objects=2, seed=7, only='coco'
    )
    assert not same.made
    tool.main(arguments)
    assert 'already there' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--train', '0'], 'train=0'),
        (['--classes', '-2'], 'classes=-2'),
        (['--classes', 'blob'], "'blob' is unknown"),
        (['--only', 'voc'], 'only='),
        (['--size', '1', '2', '3'], 'size='),
    ],
)
def test_tool_names_wrong_arguments_without_a_traceback(
    tool, tmp_path, arguments, message
):
    with pytest.raises(UserError, match=re.escape(message)):
        tool.main([str(tmp_path / 'out'), *arguments])


def test_tool_says_that_its_folder_is_a_file(tool, tmp_path):
    path = tmp_path / 'file'
    path.write_text('mine')
    with pytest.raises(UserError, match='is a file'):
        tool.main([str(path)])
    assert path.read_text() == 'mine'


# -- the toolboxes -----------------------------------------------------------------------


def test_mmdet_reads_boxes_and_masks_exactly(shapes):
    pytest.importorskip('mmdet')
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    dataset = CocoDataset(
        data_root=str(shapes.out / 'coco'),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        metainfo=dict(classes=DEFAULT_CLASSES),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        ],
    )
    assert len(dataset) == 12
    for index in range(12):
        item = dataset[index]
        drawn = draw_picture(0, 'train', index, size=(64, 80), max_size=(96, 128))
        assert item['gt_bboxes_labels'].tolist() == [i.label for i in drawn.instances]
        boxes = np.array([i.bbox for i in drawn.instances])
        boxes[:, 2:] += boxes[:, :2]
        assert np.array_equal(item['gt_bboxes'].numpy(), boxes)
        masks = np.stack([i.mask for i in drawn.instances])
        assert np.array_equal(item['gt_masks'].masks.astype(bool), masks)
        assert not item['gt_ignore_flags'].any()
        # JPEG stores colour at half the resolution: compare at that one.
        read, painted = (
            cv2.blur(image, (4, 4)).astype(int) for image in (item['img'], drawn.image)
        )
        assert np.abs(read - painted).mean() < 6


def test_mmdet_reads_coco_80_categories(tmp_path):
    pytest.importorskip('mmdet')
    from mmdet.datasets import CocoDataset

    made = make_shapes(
        tmp_path,
        train=4,
        val=1,
        size=64,
        like_originals=True,
        only='coco',
        progress=False,
    )
    dataset = CocoDataset(
        data_root=str(tmp_path / 'coco'),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
    listed = [(c['id'], c['name']) for c in coco_json(made, 'train')['categories']]
    assert tuple(name for _, name in listed) == CocoDataset.METAINFO['classes']
    assert dataset.cat_ids == [number for number, _ in listed]
    for index in range(4):
        drawn = draw_picture(0, 'train', index, size=64, classes=80)
        labels = [i['bbox_label'] for i in dataset.get_data_info(index)['instances']]
        assert labels == [i.label for i in drawn.instances]


@pytest.mark.parametrize('background', [False, True])
def test_mmseg_reads_label_maps(shapes, background):
    pytest.importorskip('mmseg')
    from mmseg.datasets import ADE20KDataset, BaseSegDataset
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    common = dict(
        data_root=str(shapes.out / 'ade' / 'ADEChallengeData2016'),
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'
        ),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    )
    if background:  # a class of its own
        dataset = BaseSegDataset(
            metainfo=dict(classes=('background', *DEFAULT_CLASSES)), **common
        )
    else:  # not labelled, as in ADE20K
        dataset = ADE20KDataset(**common)
    assert len(dataset) == 12
    for index in range(12):
        drawn = draw_picture(0, 'train', index, size=(64, 80), max_size=(96, 128))
        wanted = drawn.semantic.astype(int)
        if not background:
            wanted = np.where(wanted == 0, 255, wanted - 1)
        assert np.array_equal(dataset[index]['gt_seg_map'], wanted)


@pytest.mark.parametrize('kind', ['ImageNet', 'CustomDataset'])
def test_mmpretrain_reads_class_folders(shapes, kind):
    pytest.importorskip('mmpretrain')
    from mmpretrain import datasets
    from mmpretrain.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    root = str(shapes.out / 'imagenet')
    if kind == 'ImageNet':  # by meta/val.txt
        dataset = datasets.ImageNet(
            data_root=root, split='val', metainfo=dict(classes=DEFAULT_CLASSES)
        )
    else:  # by its folders
        dataset = datasets.CustomDataset(data_root=root, data_prefix='val')
        assert dataset.CLASSES == DEFAULT_CLASSES
    assert len(dataset) == shapes.pictures['imagenet']['val'] == 8
    for index in range(8):
        info = dataset.get_data_info(index)
        folder = Path(info['img_path']).parent.name
        assert DEFAULT_CLASSES[info['gt_label']] == folder
        assert cv2.imread(info['img_path']) is not None


def test_mmpretrain_reads_a_thousand_folders(tmp_path):
    pytest.importorskip('mmpretrain')
    from mmpretrain.datasets import ImageNet

    make_shapes(
        tmp_path,
        train=1,
        val=1,
        size=32,
        like_originals=True,
        only='imagenet',
        progress=False,
    )
    dataset = ImageNet(data_root=str(tmp_path / 'imagenet'), split='train')
    assert len(dataset) == 1000
    assert dataset.get_gt_labels().tolist() == list(range(1000))
