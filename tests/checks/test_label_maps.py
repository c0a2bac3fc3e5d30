"""Label maps against pictures and classes, and pictures that mmseg reads unasked."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmghost.checks.label_maps import (
    check_label_maps,
    label_map_fault,
    labels_of,
)
from mmghost.checks.preflight import build_datasets, preflight
from mmghost.engine.launch import load_config, prepare_train, run_train
from mmghost.errors import UserError

from ..toys import write_config

ADE = Path('ade/ADEChallengeData2016')
TRAIN = ADE / 'annotations/training'


def segmentation(tmp_path: Path, data: Path, more: str = '') -> Config:
    return Config.fromfile(write_config(tmp_path, 'segmentation', data, more))


def dataset(tmp_path: Path, data: Path, more: str = ''):
    cfg = segmentation(tmp_path, data, more)
    return build_datasets(cfg, 'train_dataloader')[0][1]


def first(folder: Path) -> Path:
    return sorted(folder.iterdir())[0]


def change(path: Path, function) -> None:
    function(Image.open(path)).save(path)


def with_pixel(value: int):
    def change(image: Image.Image) -> Image.Image:
        values = np.asarray(image).copy()
        values[3, 5] = value
        return Image.fromarray(values)

    return change


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (with_pixel(9), 'holds 9; 8 classes go from 1 to 8, 0 is ignored'),
        (with_pixel(254), 'holds 254; 8 classes'),
        (lambda image: image.resize((90, 96)), 'is 90x96 px, its picture'),
        (lambda image: image.convert('RGB'), 'is a picture in colour (RGB)'),
        (lambda image: image.convert('LA'), 'is a picture in colour (LA)'),
        (
            lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) + 256),
            'holds 256',
        ),
    ],
    ids=['class', '254', 'size', 'rgb', 'alpha', '16-bit'],
)
def test_a_label_map_that_does_not_fit_stops_the_training_by_name(
    tmp_path, own_shapes, spoil, words
):
    path = first(own_shapes / TRAIN)
    change(path, spoil)
    (problem,) = preflight(segmentation(tmp_path, own_shapes), ['train'])
    assert problem.fatal
    assert '1 of 16 label maps looked into are no good' in problem.what
    assert path.name in problem.what
    assert words in problem.what
    assert 'reduce_zero_label' in problem.remedy


def test_nothing_is_written_before_the_label_maps_are_mended(tmp_path, own_shapes):
    change(first(own_shapes / TRAIN), with_pixel(200))
    path = write_config(tmp_path, 'segmentation', own_shapes)
    cfg = prepare_train(load_config(path))
    with pytest.raises(UserError, match='holds 200'):
        run_train(cfg)
    assert not list((tmp_path / 'work').rglob('*.pth'))


@pytest.mark.parametrize('value', [0, 1, 8, 255])
def test_classes_and_what_is_ignored_may_stand_in_a_label_map(
    tmp_path, own_shapes, value
):
    change(first(own_shapes / TRAIN), with_pixel(value))
    assert preflight(segmentation(tmp_path, own_shapes), ['train']) == []


def test_without_reduction_the_classes_begin_at_0(tmp_path, shapes):
    more = (
        "train_dataset['reduce_zero_label'] = False\n"
        "train_dataset['pipeline'] = [dict(type='LoadAnnotations')]"
    )
    labels = labels_of(dataset(tmp_path, shapes, more))
    assert np.flatnonzero(labels.allowed).tolist() == [*range(8), 255]
    report = check_label_maps(dataset(tmp_path, shapes, more), 9)
    assert report.faults  # triangles are 8 there, which is no class then


def test_a_subset_of_ade20ks_classes_ignores_the_others():
    from mmseg.datasets import ADE20KDataset

    everything = ADE20KDataset(lazy_init=True)
    some = ADE20KDataset(metainfo=dict(classes=('wall', 'sky')), lazy_init=True)
    for data in (everything, some):
        allowed = labels_of(data).allowed
        assert np.flatnonzero(~allowed).tolist() == list(range(151, 255))


def test_no_value_that_mmseg_would_train_on_is_refused_and_no_other_accepted(tmp_path):
    """Against mmseg's own loading, for all 256 values."""
    from mmseg.datasets import ADE20KDataset
    from mmseg.datasets.transforms import LoadAnnotations

    path = tmp_path / 'all.png'
    Image.fromarray(np.arange(256, dtype=np.uint8)[None]).save(path)
    for classes in (None, ('sky', 'wall')):
        metainfo = dict(classes=classes) if classes else None
        data = ADE20KDataset(metainfo=metainfo, lazy_init=True)
        results = dict(
            seg_map_path=str(path),
            seg_fields=[],
            label_map=data.label_map,
            reduce_zero_label=True,
        )
        loaded = LoadAnnotations()(results)['gt_seg_map']
        fits = (loaded < len(data.metainfo['classes'])) | (loaded == 255)
        assert np.array_equal(labels_of(data).allowed, fits)


def test_a_palette_image_is_a_label_map(tmp_path, own_shapes):
    def colour(image):
        image = image.convert('L')
        palette = Image.fromarray(np.asarray(image), mode='P')
        palette.putpalette([i % 256 for i in range(768)])
        return palette

    change(first(own_shapes / TRAIN), colour)
    assert Image.open(first(own_shapes / TRAIN)).mode == 'P'
    assert preflight(segmentation(tmp_path, own_shapes), ['train']) == []


def test_a_picture_that_its_exif_turns_is_measured_as_mmseg_reads_it(tmp_path):
    import mmcv

    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new('RGB', (40, 20)).save(tmp_path / 'a.jpg', exif=exif)
    Image.new('L', (20, 40)).save(tmp_path / 'a.png')
    assert mmcv.imread(str(tmp_path / 'a.jpg')).shape[:2] == (40, 20)
    pair = str(tmp_path / 'a.jpg'), str(tmp_path / 'a.png')
    assert label_map_fault(*pair, None) is None


def test_label_maps_that_are_too_large_for_pillow_alone_pass(tmp_path, monkeypatch):
    Image.new('L', (40, 20)).save(tmp_path / 'a.png')
    pair = [str(tmp_path / 'a.png')] * 2
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)  # it refuses twice as many
    with pytest.raises(Image.DecompressionBombError):
        Image.open(pair[0])
    assert label_map_fault(*pair, None) is None


def test_time_that_is_up_opens_no_more_label_maps(tmp_path, shapes):
    report = check_label_maps(dataset(tmp_path, shapes), 0)
    assert (report.total, report.checked, report.faults) == (16, 0, {})


def test_pictures_in_grey_and_with_alpha_train_as_colour(tmp_path, own_shapes):
    pictures = sorted((own_shapes / ADE / 'images/training').iterdir())
    change(pictures[0], lambda image: image.convert('L'))
    # JPEG knows no alpha, but nobody looks at the suffix.
    Image.open(pictures[1]).convert('RGBA').save(pictures[1], format='PNG')
    path = write_config(tmp_path, 'segmentation', own_shapes)
    cfg = load_config(path, {'train_cfg.max_iters': 1, 'train_cfg.val_interval': 9})
    run_train(prepare_train(cfg))
    assert (tmp_path / 'work/iter_1.pth').is_file()
