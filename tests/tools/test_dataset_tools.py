"""new_config.py, check_dataset.py and make_shapes.py as a user calls them."""

import json
from pathlib import Path

import pytest

from tests.datasets.conftest import forms, own  # noqa: F401

WRITE = (
    '--task detection --train coco/train.json --val coco/val.json --weights none '
    '--out mine.py'
)
MAPS = (
    '--task segmentation --train maps/img_dir/train --val maps/img_dir/val --out seg.py '
    '--classes a b c d e f g h --ignore-label 8 --map-suffix .png --light --epochs 1'
)


@pytest.fixture
def run(call):
    """Return a function that calls a tool and returns its status and the words of it."""

    def run(name: str, *arguments: str) -> tuple[int, str]:
        status, text = call(f'dataset_tools/{name}', *arguments)
        return status, ' '.join(text.split())

    return run


def test_a_config_is_written_and_its_data_checked(own, run):  # noqa: F811
    status, words = run('new_config.py', *WRITE.split(), '--keep-empty', '--size', '64')
    assert status == 0
    assert words.endswith('Look at it, then: python tools/train.py mine.py')
    assert run('check_dataset.py', 'mine.py')[0] == 0

    (own / 'coco/images/train_000000000002.jpg').unlink()
    status, words = run('check_dataset.py', 'mine.py')
    assert status == 1
    assert 'train_000000000002.jpg' in words
    assert run('check_dataset.py', 'mine.py', '--loaders', 'val')[0] == 0


def test_flags_of_label_maps_reach_the_config(own, run):  # noqa: F811
    status, words = run('new_config.py', *MAPS.split())
    assert (status, 'seg.py is written' in words) == (0, True)
    assert 'ignore_index = 8' in Path('seg.py').read_text()
    values = f'{MAPS} --label-values 0 1 2 3 4 5 6 7 --overwrite'
    assert run('new_config.py', *values.split())[0] == 0
    assert 'seg_data/train' in Path('seg.py').read_text()


def test_make_shapes_makes_what_its_flags_say(tmp_path, run):
    flags = '--train 4 --val 2 --size 48 --classes 5 --seed 7 --only coco --workers 2'
    status, words = run('make_shapes.py', str(tmp_path / 'out'), *flags.split())
    assert (status, '4 + 2 images, 5 classes' in words) == (0, True)
    path = tmp_path / 'out/coco/annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    assert [image['width'] for image in content['images']] == [48, 48]
    words = run('make_shapes.py', str(tmp_path / 'out'), *flags.split())[1]
    assert words.startswith('already there')


@pytest.mark.parametrize(
    ('name', 'arguments', 'words'),
    [
        (
            'check_dataset.py',
            ['gone.py'],
            'error: config gone.py: there is no such file',
        ),
        (
            'new_config.py',
            [*MAPS.split(), '--ignore-label', 'x'],
            'error: x: label maps have numbers',
        ),
        ('make_shapes.py', ['out', '--train', '0'], 'error: train=0'),
    ],
)
def test_an_error_is_one_line_and_status_1(own, run, name, arguments, words):  # noqa: F811
    status, printed = run(name, *arguments)
    assert status == 1
    assert words in printed
