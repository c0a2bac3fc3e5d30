"""check_dataset.py and new_config.py as a person calls them."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from tests.datasets.own.conftest import forms, own  # noqa: F401

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'dataset_tools'


@pytest.fixture
def call(monkeypatch, capsys):
    """Call a tool; return its exit status and what it printed."""

    def run(name: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', [name, *arguments])
        status = 0
        try:
            runpy.run_path(str(TOOLS / name), run_name='__main__')
        except SystemExit as end:
            status = end.code or 0
        printed = capsys.readouterr()
        return status, ' '.join((printed.out + printed.err).split())

    return run


WRITE = [
    '--task', 'detection', '--train', 'coco/train.json', '--val', 'coco/val.json',
    '--weights', 'none', '--out', 'mine.py',
]  # fmt: skip


def test_a_config_is_written_and_its_data_are_whole_until_they_break(own, call):  # noqa: F811
    status, words = call('new_config.py', *WRITE)
    assert status == 0
    assert 'mine.py is written' in words
    assert 'python tools/train.py mine.py' in words

    status, words = call('check_dataset.py', 'mine.py')
    assert (status, words.count('error')) == (0, 0)
    assert 'train, val, test: the data are there and whole' in words
    assert '16 pictures named, 16 opened' in words

    labels = own / 'coco/train.json'
    whole = labels.read_text()
    content = json.loads(whole)
    content['annotations'][0]['bbox'][2] = 0
    labels.write_text(json.dumps(content))
    status, words = call('check_dataset.py', 'mine.py', '--loaders', 'train')
    assert (status, words.count('note: ')) == (0, 1)
    assert 'train: nothing is broken; see the notes' in words
    labels.write_text(whole)

    picture = own / 'coco/images/train_000000000002.jpg'
    content = picture.read_bytes()
    # Its ends are whole, what is between them is not: a job for --full.
    picture.write_bytes(content[:2] + b'\0' * (len(content) - 4) + content[-2:])
    assert call('check_dataset.py', 'mine.py', '--loaders', 'train')[0] == 0
    status, words = call('check_dataset.py', 'mine.py', '--loaders', 'train', '--full')
    assert status == 1
    assert 'train_000000000002.jpg is not a picture' in words

    picture.unlink()
    status, words = call('check_dataset.py', 'mine.py')
    assert status == 1
    assert 'error: train_dataloader.dataset: 1 of 16 pictures are not there' in words
    assert call('check_dataset.py', 'mine.py', '--loaders', 'val')[0] == 0


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
            [*WRITE, '--model', 'yolo'],
            'error: --model yolo: for detection',
        ),
        ('make_shapes.py', ['out', '--train', '0'], 'error: train=0'),
        ('new_config.py', [*WRITE, '--size', '9'], 'error: --size 9: it goes from 32'),
    ],
)
def test_an_error_is_one_line_and_status_1(own, call, name, arguments, words):  # noqa: F811
    status, printed = call(name, *arguments)
    assert status == 1
    assert words in printed


@pytest.mark.parametrize('name', ['check_dataset.py', 'new_config.py'])
def test_help_shows_examples(call, name):
    status, words = call(name, '--help')
    assert status == 0
    assert f'python tools/dataset_tools/{name} ' in words
