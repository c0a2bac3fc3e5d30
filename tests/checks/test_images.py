"""Image files: there, whole, and read by the loader of the config with their values."""

import re
import subprocess
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import tifffile
from PIL import Image

from mmghost.checks.images import image_fault, image_size, list_images

from .data import coco, folders, found, only, segmentation, write_image


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'bmp', 'tif', 'webp', 'gif'])
def test_whole_images_of_every_kind_pass_and_truncated_ones_do_not(tmp_path, suffix):
    path = write_image(tmp_path / f'a.{suffix}')
    assert image_fault(str(path)) is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert image_fault(str(path)) is not None


def test_damage_in_the_middle_is_found_where_all_is_decoded(tmp_path):
    path = write_image(tmp_path / 'a.png')
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert image_fault(str(path)) is None
    assert 'is truncated or damaged' in image_fault(str(path), decode=True)


@pytest.mark.parametrize(
    ('content', 'fault'), [(b'', 'is empty'), (b'<html></html>', 'is not an image')]
)
def test_a_file_that_is_no_image_is_named(tmp_path, content, fault):
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    assert image_fault(str(path)) == fault


def float_tiff(path: Path) -> None:
    tifffile.imwrite(path, np.random.default_rng(0).random((40, 50), dtype=np.float32))


def renamed_pcx(path: Path) -> None:
    Image.fromarray(np.eye(40, 50, dtype=np.uint8) * 255).save(path, format='PCX')


@pytest.mark.parametrize(
    ('write', 'kind'), [(float_tiff, 'TIFF'), (renamed_pcx, 'PCX')]
)
def test_the_loader_of_the_config_decides_what_can_be_read(tmp_path, write, kind):
    """mmcv reads these by Pillow, and not by OpenCV, its default."""
    cfg, path = folders(tmp_path), tmp_path / 'train/cat/0.png'
    write(path)
    assert mmcv.imread(str(path)) is None
    problem = only(cfg)
    assert problem.fatal
    assert f'1 of 7 images opened cannot be used: {path} is a {kind}' in problem.what
    assert "the backend 'cv2' of LoadImageFromFile cannot read" in problem.what
    cfg.train_dataloader.dataset.pipeline[0].imdecode_backend = 'pillow'
    assert found(cfg) == []


def test_broken_images_of_one_kind_are_one_problem(tmp_path):
    cfg = folders(tmp_path)
    for i in range(3):
        path = tmp_path / f'train/dog/{i}.jpg'
        path.write_bytes(path.read_bytes()[: -100 * i - 20])
    (tmp_path / 'train/cat/0.jpg').write_bytes(b'')
    counts = [problem.what.split(' images')[0] for problem in found(cfg)]
    assert sorted(counts) == ['1 of 6', '3 of 6']


@pytest.mark.parametrize('write', [folders, segmentation, coco])
def test_truncated_images_stop_every_task_unless_no_time_is_given(tmp_path, write):
    cfg = write(tmp_path)
    path = sorted(tmp_path.rglob('*.jpg'))[0]
    path.write_bytes(path.read_bytes()[:-40])
    assert f'{path} is truncated or damaged' in only(cfg).what
    assert found(cfg, image_seconds=0) == []


def rewrite(folder: Path, values: np.ndarray, suffix: str = '.png') -> None:
    for path in sorted(folder.rglob('*.*')):
        path.unlink()
        write = tifffile.imwrite if suffix == '.tif' else cv2.imwrite
        write(str(path.with_suffix(suffix)), values)


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
    seen = rf'values from 0 to ({last}|{last + 1}) of 255 after loading, from \d+ to \d{{3,5}} '
    assert re.search(seen, problem.what)
    assert 'convert the images to 8 bit' in problem.remedy
    assert problem.fatal == (bits < 14)


def test_values_that_use_the_range_pass_and_0_and_1_do_not(tmp_path):
    cfg = folders(tmp_path)
    deep = np.arange(2000, dtype=np.uint16).reshape(40, 50) * 32
    for values in (deep, np.eye(40, 50, dtype=np.uint8) * 255):
        rewrite(tmp_path / 'train', values)
        assert found(cfg) == []
    rewrite(tmp_path / 'train', np.eye(40, 50, dtype=np.uint8))
    problem = only(cfg)
    assert 'from 0 to 1 of 255' in problem.what
    assert not problem.fatal


@pytest.mark.parametrize(
    ('name', 'words', 'remedy'),
    [
        ('C:\\data\\0.jpg', 'paths of another computer, with a drive letter', 'relative'),
        ('0.JPG', '(there is 0.jpg)', 'rename the files, or correct the names'),
        ('0', '(there is 0.jpg)', 'rename the files, or correct the names'),
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
    assert remedy in problem.remedy


def test_the_command_that_writes_slashes_repairs_the_file(tmp_path):
    def edit(content):
        for image in content['images']:
            image['file_name'] = f'sub\\{image["file_name"]}'

    cfg = coco(tmp_path, edit)
    for path in sorted((tmp_path / 'train').iterdir()):
        write_image(tmp_path / 'train/sub' / path.name)
    command = only(cfg).remedy.removeprefix('write /: ')
    subprocess.run(command, shell=True, check=True)
    assert found(cfg) == []


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
