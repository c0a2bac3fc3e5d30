"""Whether picture files are there and whole."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmghost.checks.images import check_pictures, list_images, image_fault


def write(path: Path, side: int = 40, **options) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (side, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **options)
    return path


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'bmp', 'tif', 'webp', 'gif'])
def test_whole_pictures_of_every_kind_pass_and_cut_ones_do_not(tmp_path, suffix):
    path = write(tmp_path / f'a.{suffix}')
    assert image_fault(str(path)) is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert image_fault(str(path)) is not None


def test_a_jpeg_cut_after_its_thumbnail_is_noticed(tmp_path):
    thumbnail = write(tmp_path / 'small.jpg').read_bytes()
    path = write(tmp_path / 'a.jpg', side=400, exif=b'Exif\x00\x00' + thumbnail)
    content = path.read_bytes()
    assert content.count(b'\xff\xd9') == 2  # one of them the thumbnail's
    path.write_bytes(content[: len(content) * 2 // 3])
    assert image_fault(str(path)) is not None


def test_bytes_behind_the_end_mark_do_no_harm(tmp_path):
    path = write(tmp_path / 'a.jpg')
    path.write_bytes(path.read_bytes() + b'\x00' * 100)
    assert image_fault(str(path)) is None


def test_a_picture_under_the_name_of_another_format_passes(tmp_path):
    path = write(tmp_path / 'a.png')
    path = path.rename(tmp_path / 'a.jpg')  # ImageNet has one
    assert image_fault(str(path)) is None


@pytest.mark.parametrize(
    ('content', 'fault'), [(b'', 'is empty'), (b'<html></html>', 'is not a picture')]
)
def test_what_is_no_picture_is_said(tmp_path, content, fault):
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    assert image_fault(str(path)) == fault


def test_the_report_names_missing_and_broken_pictures(tmp_path):
    paths = [str(write(tmp_path / f'{i}.jpg')) for i in range(5)]
    Path(paths[1]).write_bytes(b'\xff\xd8')
    gone = [str(tmp_path / 'gone.jpg'), str(tmp_path / 'nowhere' / 'a.jpg')]
    report = check_pictures(paths + gone)
    assert report.total == 7
    assert report.checked == 5
    assert report.missing == gone
    assert list(report.broken) == [paths[1]]


def test_without_time_names_are_checked_all_the_same(tmp_path):
    whole, gone = str(write(tmp_path / 'a.jpg')), str(tmp_path / 'b.jpg')
    report = check_pictures([whole, gone], seconds=0)
    assert (report.checked, report.missing) == (0, [gone])


def test_pictures_are_listed_below_a_folder_by_suffix(tmp_path):
    (tmp_path / 'sub').mkdir()
    inner = write(tmp_path / 'sub' / 'b.JPG', format='JPEG')
    outer = write(tmp_path / 'a.jpg')
    write(tmp_path / 'c.png')
    write(tmp_path / '._a.jpg')  # hidden, as macOS leaves them
    assert list_images(str(tmp_path), '.jpg') == [str(outer), str(inner)]
