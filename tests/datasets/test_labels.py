"""Labels of every form, encoding and origin are the same boxes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmghost.datasets.custom.finding import read_classes
from mmghost.datasets.custom.labels import Part, read_part
from mmghost.datasets.custom.making import Choices, Job
from mmghost.errors import UserError

from .conftest import CLASSES, WAYS, edit_json, write

pytest.importorskip('supervision')

TRAIN, VAL = 'coco/train.json', 'coco/val.json'
A_LABEL = Path('yolo/labels/train/train_000000000001.txt')
AN_XML = Path('voc/Annotations/train_000000000001.xml')


def read(path: str, classes=(), split='train', masks=False, note=len) -> Part:
    task = 'instance' if masks else 'detection'
    job = Job(task, (path, path), Path('converted'), Choices(), None, note)
    return read_part(job, split, classes)


def boxes(content: dict) -> list:
    """Return what an image shows: file, class and box of each object."""
    files = {image['id']: Path(image['file_name']).name for image in content['images']}
    names = {entry['id']: entry['name'] for entry in content['categories']}
    return sorted(
        (files[entry['image_id']], names[entry['category_id']], entry['bbox'])
        for entry in content['annotations']
    )


def assert_same(found: dict, expected: list) -> None:
    found = boxes(found)
    assert [entry[:2] for entry in found] == [entry[:2] for entry in expected]
    # Six digits of a fraction of 96 px, and two digits of a pixel, are kept.
    difference = np.subtract([e[2] for e in found], [e[2] for e in expected])
    assert np.abs(difference).max() < 0.011


def of_coco(name: str = TRAIN) -> list:
    return boxes(json.loads(Path(name).read_text()))


@pytest.mark.parametrize(
    'path',
    [
        'voc/ImageSets/Main/train.txt',
        'yolo/data.yaml',
        'yolo/images/train',
        'train.txt',
    ],
)
def test_labels_of_every_form_are_the_same_boxes(own, path):
    images = sorted(Path('yolo/images/train').iterdir())
    # Names of images from here, and with the backslashes of Windows.
    lines = [str(images[0].resolve()), *(str(i).replace('/', '\\') for i in images[1:])]
    Path('train.txt').write_text('\n'.join(lines))
    assert len(of_coco()) > 20
    content = read(path, CLASSES).content
    assert_same(content, of_coco())
    # The toolbox's error analysis groups classes by it.
    assert all(entry['supercategory'] for entry in content['categories'])


def test_a_folder_of_voc_has_the_images_of_both_lists_and_names_labels_without(own):
    notes = []
    content = read('voc', note=notes.append).content
    assert_same(content, sorted(of_coco() + of_coco(VAL)))
    assert len(notes) == 1
    stem = AN_XML.stem
    Path(f'voc/JPEGImages/{stem}.jpg').unlink()
    read('voc', note=notes.append)
    words = f'1 label files have no image in voc/JPEGImages and are left out: {AN_XML}'
    assert notes[1] == f'voc: {words}'


def test_a_list_of_voc_may_have_a_second_column(own):
    path = Path(WAYS['voc'][1])
    lines = path.read_text().splitlines()
    path.write_text('\n'.join(f'{x} {i % 2 * 2 - 1:2}' for i, x in enumerate(lines)))
    assert_same(read(str(path)).content, of_coco())


@pytest.mark.parametrize(
    'text',
    [
        'train: images/train\nval: images/val\nnames: {{{quoted}}}\nnc: 8',
        'train: ../images/train\nval: ../images/val\nnames: [{names}]',
        'train: .\\images\\train\nval: .\\images\\val\nnames: [{names}]',
        'train: D:\\me\\yolo\\images\\train\nval: /home/me/yolo/images/val\nnames: [{names}]',
        'path: yolo\ntrain: [images/a, images/b]\nvalid: images/val\nnames: [{names}]',
        '\ufefftrain: images/train\nval: images/val\nnc: 8',
    ],
    ids=[
        'quoted keys',
        'roboflow',
        'backslashes',
        'other computer',
        'lists',
        'no names',
    ],
)
def test_a_data_yaml_is_read_as_exporters_write_it(own, text):
    folder = own / 'yolo/images'
    for name in ('images', 'labels'):
        for part in 'ab':
            (own / 'yolo' / name / part).mkdir()
        for i, path in enumerate(sorted((own / f'yolo/{name}/train').iterdir())):
            shutil.copy(path, own / 'yolo' / name / 'ab'[i % 2] / path.name)
    quoted = ', '.join(f"'{i}': {name}" for i, name in enumerate(CLASSES))
    text = text.format(quoted=quoted, names=', '.join(CLASSES))
    (own / 'yolo/data.yaml').write_text(text, encoding='utf-8')
    assert_same(read('yolo/data.yaml', CLASSES).content, of_coco())
    labels = read('yolo/data.yaml', CLASSES, 'val')
    assert Path(labels.images).resolve() == folder / 'val'


def test_polygons_become_masks_and_boxes_are_refused_where_masks_are_trained(own):
    from pycocotools import mask

    for path in A_LABEL.parent.iterdir():  # class 2 as np.savetxt writes it
        path.write_text('2.0 0.25 0.25 0.75 0.25 0.75 0.5 0.25 0.5')
    (outlined, *_) = read('yolo/data.yaml', masks=True).content['annotations']
    assert (outlined['category_id'], outlined['bbox']) == (2, [24, 24, 48, 24])
    # 96 px: columns 24 to 72 and rows 24 to 48, with the outline of one pixel.
    pixels = mask.decode(outlined['segmentation']).sum()
    assert outlined['area'] == pixels == pytest.approx(49 * 25, abs=1)
    A_LABEL.write_text('1 .5 .5 .2 .2\n')
    with pytest.raises(UserError, match=f'{A_LABEL} .*1 of its objects have a box'):
        read('yolo/data.yaml', masks=True)


def test_keypoints_of_yolo_are_left_out(own):
    line = A_LABEL.read_text().splitlines()[0]
    A_LABEL.write_text(f'{line} 0.1 0.1 0.2 0.2')
    text = Path('yolo/data.yaml').read_text()
    Path('yolo/data.yaml').write_text(f'{text}kpt_shape: [2, 2]\n')
    content = read('yolo/data.yaml').content
    assert len([e for e in content['annotations'] if e['image_id'] == 1]) == 1


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_text_of_windows_is_read(own, encoding):
    expected = of_coco()
    for path in (A_LABEL, AN_XML, Path(TRAIN), Path('maps/classes.txt')):
        path.write_text(path.read_text(), encoding=encoding)
    for form in ('voc', 'yolo'):
        assert_same(read(WAYS[form][1]).content, expected)
    assert read_classes('maps/ann_dir/train')[0] == 'none'
    cfg = write('coco')
    assert of_coco(cfg.train_dataloader.dataset.ann_file) == expected
    assert cfg.val_dataloader.dataset.ann_file == VAL


def test_gbk_is_read_in_xml_that_declares_it_and_refused_with_the_remedy_elsewhere(own):
    text = AN_XML.read_text()
    name = text.split('<name>')[1].split('<')[0]
    text = '<?xml version="1.0" encoding="gbk"?>' + text.replace(name, '圆')
    AN_XML.write_bytes(text.encode('gbk'))
    content = read(WAYS['voc'][1]).content
    assert '圆' in [entry['name'] for entry in content['categories']]
    # Saved again by an editor that leaves the declaration as it is.
    AN_XML.write_text(text.replace('"gbk"', '"gb2312"'), 'utf-8')
    assert_same(read(WAYS['voc'][1]).content, boxes(content))
    Path('maps/classes.txt').write_bytes('背景\n'.encode('gbk'))
    with pytest.raises(UserError, match=r'classes\.txt.*iconv -f GBK -t UTF-8'):
        read_classes('maps/ann_dir/train')


@pytest.mark.parametrize(
    'spell',
    [
        lambda name: f'images\\{name}',
        lambda name: f'C:\\Users\\me\\images\\{name}',
        lambda name: f'/home/me/images/{name}',
        lambda name: name.replace('.jpg', '.JPG'),
        lambda name: name.removesuffix('.jpg'),
    ],
    ids=['backslashes', 'drive', 'other computer', 'suffix case', 'no suffix'],
)
def test_images_are_found_under_names_of_other_systems(own, spell):
    def respell(content: dict) -> None:
        for image in content['images']:
            image['file_name'] = spell(image['file_name'])

    before = of_coco()
    edit_json(TRAIN, respell)
    dataset = write('coco').train_dataloader.dataset
    assert dataset.ann_file == 'mine_data/train.json'
    assert of_coco(dataset.ann_file) == before


@pytest.mark.parametrize(
    'lines',
    ['none\na\nb', '0 none\n1 a\n2 b\n', '0: none\n1: a\n2: b', '\ufeffnone\r\na\r\nb'],
)
def test_classes_txt_has_names_with_or_without_numbers(tmp_path, lines):
    (tmp_path / 'classes.txt').write_bytes(lines.encode())
    assert read_classes(str(tmp_path / 'maps' / 'train')) == ['none', 'a', 'b']


def test_litter_of_systems_is_no_data(own):
    for folder in ('yolo/images/train', 'yolo/labels/train', 'voc/JPEGImages'):
        (own / folder / '.ipynb_checkpoints').mkdir()
        image = next((own / 'coco/images').iterdir())
        shutil.copy(image, own / folder / '.ipynb_checkpoints' / 'a-checkpoint.jpg')
        for name in ('._train_000000000001.jpg', '.DS_Store', 'Thumbs.db'):
            (own / folder / name).write_bytes(b'litter')
    (own / 'voc/Annotations/._train_000000000001.xml').write_bytes(b'litter')
    for path in ('yolo/data.yaml', 'voc/ImageSets/Main/train.txt'):
        assert_same(read(path).content, of_coco())
    assert len(read('voc').content['images']) == 24


def test_files_of_labelme_from_windows_are_read(own):
    """One JSON for each image, with backslashes in imagePath."""
    content = json.loads(Path(TRAIN).read_text())
    names = {entry['id']: entry['name'] for entry in content['categories']}
    Path('labelme').mkdir()
    for image in content['images']:
        shutil.copy(f'coco/images/{image["file_name"]}', 'labelme')
        shapes = []
        for entry in content['annotations']:
            if entry['image_id'] == image['id']:
                x, y, w, h = entry['bbox']
                points, label = [[x, y], [x + w, y + h]], names[entry['category_id']]
                shapes.append(dict(label=label, points=points, shape_type='rectangle'))
        labels = dict(shapes=shapes, imagePath=f'..\\pics\\{image["file_name"]}')
        labels |= dict(imageHeight=image['height'], imageWidth=image['width'])
        path = Path('labelme', image['file_name']).with_suffix('.json')
        path.write_text(json.dumps(labels), encoding='utf-8-sig')
    assert_same(read('labelme').content, of_coco())
    corner = dict(label='a', group_id=1, points=[[0, 0], [4, 0], [4, 4]])
    far = dict(corner, points=[[9, 9], [12, 9], [12, 12]])
    path.write_text(json.dumps(dict(shapes=[corner, far, dict(far, group_id=None)])))
    found = read('labelme').content['annotations'][-2:]
    assert [each['bbox'] for each in found] == [[0, 0, 12, 12], [9, 9, 3, 3]]
