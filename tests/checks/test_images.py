"""Image files: there, whole, and read by the loader of the config with their values."""

import re
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmghost.checks.images import image_fault, image_size, list_images

from .data import coco, folders, found, only, segmentation, write_image


# No GIF, which OpenCV reads from 4.12 on.
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'bmp', 'tif', 'webp'])
def test_whole_images_of_every_kind_pass_and_truncated_ones_do_not(tmp_path, suffix):
    path = write_image(tmp_path / f'a.{suffix}')
    assert image_fault(str(path)) is None
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(5000))  # as phones append a film
    assert image_fault(str(path)) is None
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert image_fault(str(path)) is not None


@pytest.mark.parametrize('content', [b'', b'<html></html>'])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    assert 'cannot be decoded' in image_fault(str(path))


def float_tiff(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).random((40, 50)).astype('f4')).save(
        path, format='TIFF'
    )


def renamed_pcx(path: Path) -> None:
    Image.fromarray(np.eye(40, 50, dtype=np.uint8) * 255).save(path, format='PCX')


@pytest.mark.parametrize('write', [float_tiff, renamed_pcx])
def test_the_loader_of_the_config_decides_what_can_be_read(tmp_path, write):
    """mmcv reads these by Pillow, and not by OpenCV, its default."""
    cfg, path = folders(tmp_path), tmp_path / 'train/cat/0.png'
    write(path)
    assert mmcv.imread(str(path)) is None
    problem = only(cfg)
    assert problem.fatal
    assert f'1 of 7 images opened cannot be used: {path} cannot be dec' in problem.what
    assert "by the backend 'cv2' of LoadImageFromFile" in problem.what
    cfg.train_dataloader.dataset.pipeline[0].imdecode_backend = 'pillow'
    assert found(cfg) == []


def test_broken_images_are_one_problem(tmp_path):
    cfg = folders(tmp_path)
    for path in (tmp_path / 'train/dog').iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    (tmp_path / 'train/cat/0.jpg').write_bytes(b'')
    assert only(cfg).what.startswith('4 of 6 images opened cannot be used')


@pytest.mark.parametrize('write', [folders, segmentation, coco])
def test_truncated_images_stop_every_task_unless_no_time_is_given(tmp_path, write):
    cfg = write(tmp_path)
    path = sorted(tmp_path.rglob('*.jpg'))[0]
    path.write_bytes(path.read_bytes()[:-40])
    assert f'{path} is truncated' in only(cfg).what
    assert found(cfg, image_seconds=0) == []


def rewrite(folder: Path, values: np.ndarray, suffix: str = '.png') -> None:
    for path in sorted(folder.rglob('*.*')):
        path.unlink()
        cv2.imwrite(str(path.with_suffix(suffix)), values)


@pytest.mark.parametrize(('bits', 'last'), [(12, 15), (14, 63)])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_16_bit_files_that_lose_their_values_by_loading_are_named(
    tmp_path, bits, last, suffix
):
    cfg, generator = folders(tmp_path), np.random.default_rng(0)
    noise = generator.integers(0, 2**bits, (40, 50), dtype=np.uint16)
    rewrite(tmp_path / 'train', noise, suffix)
    problem = only(cfg)
    # OpenCV rounds the values of a TIFF in color, and cuts the others.
    seen = rf'values up to ({last}|{last + 1}) of 255 after loading; .* up to \d{{4,5}} in 16'
    assert re.search(seen, problem.what)
    assert 'convert them to 8 bit' in problem.what
    assert problem.fatal == (bits < 14)


def test_values_that_use_the_range_pass_and_0_and_1_do_not(tmp_path):
    cfg = folders(tmp_path)
    deep = np.arange(2000, dtype=np.uint16).reshape(40, 50) * 32
    for values in (deep, np.eye(40, 50, dtype=np.uint8) * 255):
        rewrite(tmp_path / 'train', values)
        assert found(cfg) == []
    rewrite(tmp_path / 'train', np.eye(40, 50, dtype=np.uint8))
    problem = only(cfg)
    assert 'up to 1 of 255' in problem.what
    assert not problem.fatal


@pytest.mark.parametrize(
    ('name', 'words', 'remedy'),
    [
        ('C:\\data\\0.jpg', '1 of 4 files are not there', 'names with / and no drive'),
        ('0.JPG', 'did you mean 0.jpg', 'or correct the data_prefix, the suffixes'),
        ('77.jpg', '1 of 4 files are not there', 'copy them, or correct the data_prefix'),
    ],
)  # fmt: skip
def test_a_missing_image_is_answered_with_what_is_wrong_with_its_name(
    tmp_path, name, words, remedy
):
    cfg = coco(tmp_path, lambda content: content['images'][0].update(file_name=name))
    problem = only(cfg)
    assert words in problem.what
    assert name in problem.what
    assert remedy in problem.what


def test_hidden_files_and_folders_are_not_listed(tmp_path):
    inner = write_image(tmp_path / 'sub/b.JPG')
    outer = write_image(tmp_path / 'a.jpg')
    for name in ('._a.jpg', '.ipynb_checkpoints/a.jpg', '__MACOSX/a.jpg'):
        write_image(tmp_path / name)
    (tmp_path / 'Thumbs.db').touch()
    assert list_images(str(tmp_path)) == [str(outer), str(inner)]


def test_the_size_of_an_image_is_that_of_opencv(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new('RGB', (40, 20)).save(tmp_path / 'a.jpg', exif=exif)
    assert mmcv.imread(str(tmp_path / 'a.jpg')).shape[:2] == (40, 20)
    assert image_size(str(tmp_path / 'a.jpg')) == (40, 20)
