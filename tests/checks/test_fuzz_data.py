"""Whatever an annotation file holds: it is refused in words, or it can be trained on."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import METRICS

from mmghost.checks.preflight import preflight
from mmghost.errors import UserError
from tests.fuzzing import depths, fuzz

from .toys import forget_runners, read_all, write_config

TRAIN = 'coco/annotations/instances_train2017.json'
VAL = 'coco/annotations/instances_val2017.json'
ADE = 'ade/ADEChallengeData2016'

# What JSON can hold in the place of something else.
JSON_JUNK = st.sampled_from(
    [
        None, True, False, 0, -1, 1, 3, 10**6, 10**30, 10**400, 0.5, -7.5, math.nan, math.inf, '',
        '1', 'circle', 'a.jpg', '../x', [], {}, [1], [[]], [1, 2, 3, 4], [[1, 2, 3]],
        [1, 2, None, 4], [-5, -5, 1, 1], {'id': 1}, {'counts': [1], 'size': [2, 2]},
        [[0, 0, 9, 0, 9, 9]],
    ]
)  # fmt: skip


@pytest.fixture
def few(shapes, tmp_path) -> Path:
    """Three pictures of each split, with what is written about them."""
    data = Path(shutil.copytree(shapes, tmp_path / 'data'))
    for name in (TRAIN, VAL):
        content = json.loads((data / name).read_text())
        content['images'] = content['images'][:3]
        ids = {image['id'] for image in content['images']}
        content['annotations'] = [
            entry for entry in content['annotations'] if entry['image_id'] in ids
        ]
        (data / name).write_text(json.dumps(content))
    return data


def places(node: Any, path: tuple = ()) -> list[tuple]:
    """All paths into nested lists and dicts."""
    found = []
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        found += [(*path, key), *places(value, (*path, key))]
    return found


@st.composite
def spoilt(draw, content: dict) -> dict:
    """The content of a JSON file with one to three changes."""
    content = json.loads(json.dumps(content))
    for _ in range(draw(st.integers(1, 3))):
        *parents, key = draw(st.sampled_from(places(content) or [('images',)]))
        node = content
        for parent in parents:
            node = node[parent]
        action = draw(st.sampled_from(['replace', 'remove', 'double', 'add']))
        if action == 'remove':
            node.pop(key, None) if isinstance(node, dict) else node.pop(key)
        elif action == 'double' and isinstance(node, list):
            node.insert(key, json.loads(json.dumps(node[key])))
        elif action == 'add' and isinstance(node, dict):
            node[draw(st.text(max_size=4))] = draw(JSON_JUNK)
        else:
            node[key] = draw(JSON_JUNK)
    return content


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """The bytes of a file, cut, with some changed or some put in between."""
    at = draw(st.integers(0, len(content)))
    inserted = draw(st.binary(max_size=6))
    action = draw(st.sampled_from(['cut', 'insert', 'overwrite']))
    if action == 'cut':
        return content[:at]
    after = at if action == 'insert' else at + len(inserted)
    return content[:at] + inserted + content[after:]


def refused(cfg: Config, loader: str, decode: bool = False) -> bool:
    """Look at the data as a training does; tell whether it would be stopped."""
    try:
        problems = preflight(cfg, (loader,), note=lambda _: None, decode=decode)
    except UserError as error:
        event('refused')
        assert len(str(error)) < 2000
        return True
    for problem in problems:
        assert 0 < len(str(problem)) < 2000
    stopped = any(problem.fatal for problem in problems)
    event('refused' if stopped else 'taken')
    return stopped


def evaluate(cfg: Config, dataset: Any) -> None:
    """Give the evaluator a detection for each picture of a data set."""
    metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = dataset.metainfo
    results = []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        found = dict(
            img_id=info['img_id'],
            bboxes=np.array([[1.0, 1.0, 20.0, 20.0]]),
            scores=np.array([0.9]),
            labels=np.array([0]),
        )
        truth = dict(width=info['width'], height=info['height'], img_id=info['img_id'])
        results.append((truth, found))
    metric.compute_metrics(results)


@depths(20, 800)
@pytest.mark.parametrize('loader', ['train', 'val'])
def test_a_spoilt_coco_file_is_refused_or_read_to_the_end(
    tmp_path, few, loader, examples, capsys
):
    cfg = Config.fromfile(write_config(tmp_path, 'detection', few))
    path = few / (TRAIN if loader == 'train' else VAL)
    content = json.loads(path.read_text())

    def holds(spoilt_content):
        path.write_text(json.dumps(spoilt_content))
        if not refused(cfg, loader):
            dataset = read_all(cfg, loader)
            if loader == 'val':
                evaluate(cfg, dataset)
        forget_runners()

    fuzz(examples, holds, spoilt(content))
    capsys.readouterr()  # pycocotools prints


@depths(25, 600)
def test_a_damaged_coco_file_is_refused_or_read_to_the_end(
    tmp_path, few, examples, capsys
):
    cfg = Config.fromfile(write_config(tmp_path, 'detection', few))
    path = few / TRAIN
    content = path.read_bytes()

    def holds(damaged_content):
        path.write_bytes(damaged_content)
        if not refused(cfg, 'train'):
            read_all(cfg, 'train')
        forget_runners()

    fuzz(examples, holds, damaged(content))
    capsys.readouterr()


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                'ring/000001.jpg 0', 'ring/000002.jpg 3', 'ring/000001.jpg', '', ' ', '7',
                'ring/000001.jpg 8', 'ring/000001.jpg -1', 'ring/000001.jpg 1.0', 'no.jpg 1',
                'ring/000001.jpg ²', 'ring/000001.jpg  2', ' ring/000001.jpg 2 ',
                'ring/000001.jpg\t2', '../x 1', '\ufeffring/000001.jpg 1', 'ring 1',
            ]
        ),
        st.text(max_size=20),
    ),
    max_size=5,
)  # fmt: skip


def spoil_a_list(
    path: Path,
    cfg: Config,
    lines: st.SearchStrategy,
    examples: int,
    edit: Callable[[str], str] = str,
) -> None:
    """Train on lists of any lines, line ends and encodings."""

    def holds(drawn, ending, encoding):
        text = ''.join(edit(line) + ending for line in drawn)
        path.write_bytes(text.encode(encoding, 'replace'))
        if not refused(cfg, 'train'):
            read_all(cfg, 'train')
        forget_runners()

    path.touch()
    encodings = st.sampled_from(['utf-8', 'utf-8', 'latin-1', 'utf-16'])
    fuzz(examples, holds, lines, st.sampled_from(['\n', '\r\n']), encodings)


@depths(60, 2000)
def test_a_list_of_labels_is_refused_or_read_to_the_end(tmp_path, few, examples):
    more = "train_dataset['ann_file'] = 'meta/fuzz.txt'\n"
    more += "train_dataset['metainfo'] = dict(classes=[str(i) for i in range(8)])"
    cfg = Config.fromfile(write_config(tmp_path, 'classification', few, more))
    spoil_a_list(few / 'imagenet' / 'meta' / 'fuzz.txt', cfg, LINES, examples)


STEMS = st.lists(
    st.one_of(
        st.sampled_from(['FIRST', 'FIRST ', ' FIRST', '', ' ', 'FIRST.jpg', '../FIRST', '/']),
        st.text(max_size=20),
    ),
    max_size=5,
)  # fmt: skip


@depths(60, 2000)
def test_a_list_of_pictures_to_segment_is_refused_or_read_to_the_end(
    tmp_path, few, examples
):
    first = sorted((few / ADE / 'images' / 'training').iterdir())[0].stem
    more = "train_dataset['ann_file'] = 'fuzz.txt'"
    cfg = Config.fromfile(write_config(tmp_path, 'segmentation', few, more))
    spoil_a_list(
        few / ADE / 'fuzz.txt',
        cfg,
        STEMS,
        examples,
        lambda line: line.replace('FIRST', first),
    )


@depths(15, 500)
@pytest.mark.parametrize('kind', ['images/training', 'annotations/training'])
def test_a_damaged_picture_or_label_map_is_refused_where_all_are_decoded(
    tmp_path, few, kind, examples
):
    path = sorted((few / ADE / kind).iterdir())[0]
    content = path.read_bytes()
    cfg = Config.fromfile(write_config(tmp_path, 'segmentation', few))
    cfg.train_dataloader.dataset.ann_file = 'one.txt'
    (few / ADE / 'one.txt').write_text(path.stem)

    def holds(damaged_content):
        path.write_bytes(damaged_content)
        if not refused(cfg, 'train', decode=True):
            read_all(cfg, 'train')
        forget_runners()

    fuzz(examples, holds, damaged(content))
