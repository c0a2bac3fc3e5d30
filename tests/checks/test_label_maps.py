"""Label maps against images and classes, as mmseg reads them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .data import found, only, segmentation, segmentation_config


def change(paths: list[Path], function) -> None:
    for path in paths:
        Image.fromarray(function(np.asarray(Image.open(path)).copy())).save(path)


def every(root: Path, function, split: str = 'train') -> None:
    change(sorted((root / 'labels' / split).iterdir()), function)


def one(root: Path, function) -> Path:
    path = root / 'labels/train/2.png'
    change([path], function)
    return path


def with_eleven(labels: np.ndarray) -> np.ndarray:
    labels[3, 5] = 11
    return labels


def as_255(labels: np.ndarray) -> np.ndarray:
    return np.where(labels > 0, 255, 0).astype(np.uint8)


@pytest.mark.parametrize(
    ('function', 'words'),
    [
        (lambda labels: labels[:30], 'is 50x30, its image 50x40'),
        (lambda labels: np.stack([labels] * 3, -1), 'has 3 channels'),
    ],
)
def test_a_label_map_that_does_not_fit_is_named(tmp_path, function, words):
    cfg = segmentation(tmp_path)
    path = one(tmp_path, function)
    problem = only(cfg)
    assert problem.fatal
    assert f'images opened cannot be used: {path} {words}' in problem.what


def test_a_value_that_is_no_class_is_named_with_the_way_out(tmp_path):
    cfg = segmentation(tmp_path)
    path = one(tmp_path, with_eleven)
    problem = only(cfg)
    seen = f'label maps hold 11, such as {path}; the classes go from 0 to 1, 255 is ign'
    assert seen in problem.what
    assert '--ignore-label' in problem.what


@pytest.mark.parametrize(
    'classes', [('ground', 'cell'), ('ground', 'cell', 'membrane')]
)
def test_masks_of_0_and_255_are_refused_with_the_reason(tmp_path, classes):
    cfg = segmentation(tmp_path, classes)
    every(tmp_path, as_255)
    problem = only(cfg)
    assert problem.fatal
    assert 'no pixel of 4 label maps is cell (1)' in problem.what
    assert '255 is ignored: if it is a class, new_config.py' in problem.what


def test_masks_of_0_and_255_that_leave_no_class_are_refused(tmp_path):
    cfg = segmentation(tmp_path, reduce_zero_label=True)
    every(tmp_path, as_255)
    every(tmp_path, lambda labels: labels + (labels < 255), 'val')
    problem = only(cfg)
    assert problem.fatal
    assert 'cat (0), dog (1) (after reduce_zero_label)' in problem.what


def test_a_class_that_never_occurs_is_said_and_stops_nothing(tmp_path):
    cfg = segmentation(tmp_path, ('sky', 'road', 'car'))
    every(tmp_path, lambda labels: np.where(labels == 2, 1, labels).astype(np.uint8))
    problem = only(cfg)
    assert not problem.fatal
    assert 'no pixel of 4 label maps is car (2)' in problem.what


def test_label_maps_that_a_transform_of_the_users_own_changes_are_not_judged(tmp_path):
    from mmcv.transforms import BaseTransform

    class FromBinary(BaseTransform):
        def transform(self, results):
            return results

    cfg = segmentation(tmp_path)
    every(tmp_path, as_255)
    cfg.train_dataloader.dataset.pipeline = [
        *cfg.train_dataloader.dataset.pipeline,
        dict(type=FromBinary),
    ]
    assert found(cfg) == []


def test_no_value_that_mmseg_trains_on_is_refused_and_no_other_accepted(tmp_path):
    """All 256 values under all of ADE20K's classes and under some of them."""
    from mmseg.datasets import ADE20KDataset

    values = np.resize(np.arange(256, dtype=np.uint8), (40, 50))
    for classes in (ADE20KDataset.METAINFO['classes'], ('sky', 'wall')):
        cfg = segmentation(tmp_path, classes)
        dataset = cfg.train_dataloader.dataset
        dataset.type, dataset.reduce_zero_label = 'ADE20KDataset', True
        every(tmp_path, lambda labels: values)
        what = only(cfg, ['train']).what
        assert 'label maps hold 150, 151, 152, 153, 154 and 99 more (after' in what
        every(tmp_path, lambda labels: np.where(values > 150, 255, values))
        assert found(cfg, ['train']) == []


@pytest.mark.parametrize('mode', ['P', '1'])
def test_palette_and_1_bit_images_are_label_maps(tmp_path, mode):
    cfg = segmentation(tmp_path)
    for path in sorted((tmp_path / 'labels').rglob('*.png')):
        labels = np.asarray(Image.open(path)) == 1
        image = Image.fromarray(labels.astype(np.uint8), mode='P')
        image.putpalette([i % 256 for i in range(768)])
        (image if mode == 'P' else Image.fromarray(labels)).save(path)
        assert Image.open(path).mode == mode
    assert found(cfg) == []


def test_names_that_do_not_pair_are_shown_with_those_there_are(tmp_path):
    ends = dict(img_suffix='_leftImg8bit.jpg', seg_map_suffix='_gtFine_labelIds.png')
    segmentation(tmp_path)
    for path in sorted(tmp_path.rglob('*.*')):
        end = ends['img_suffix' if 'images' in path.parts else 'seg_map_suffix']
        path.rename(path.with_name(f'frame{path.stem}{end}'))
    problem = only(segmentation_config(tmp_path), ['train'])
    assert 'frame0_leftImg8bit.png' in problem.what
    assert 'there is frame0_gtFine_labelIds.png' in problem.what
    assert found(segmentation_config(tmp_path, **ends)) == []


def test_a_label_map_that_is_missing_is_named(tmp_path):
    cfg = segmentation(tmp_path)
    (tmp_path / 'labels/train/2.png').unlink()
    assert (
        f'1 of 8 files are not there: {tmp_path}/labels/train/2.png' in only(cfg).what
    )


def test_a_wrong_suffix_of_images_is_answered_with_the_one_there_is(tmp_path):
    problem = only(segmentation(tmp_path, img_suffix='.png'), ['train'])
    assert 'holds no image *.png' in problem.what
