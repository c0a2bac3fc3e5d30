"""Folders, lists and class names of the three toolboxes."""

import pytest
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset

from mmghost.errors import UserError

from .data import coco, folders, folders_config, found, only, segmentation, write_image

WRITERS = {'mmdet': coco, 'mmseg': segmentation, 'mmpretrain': folders}
tasks = pytest.mark.parametrize('write', WRITERS.values(), ids=WRITERS)


@tasks
def test_a_wrong_data_root_is_named_once_a_loader(tmp_path, write):
    cfg = write(tmp_path / 'here')
    assert found(cfg) == []
    (tmp_path / 'here').rename(tmp_path / 'there')
    problem = only(cfg, ['train'])
    assert problem.where == 'train_dataloader.dataset'
    assert f'there is no {tmp_path}/here' in problem.what
    assert '--cfg-options train_dataloader.dataset.data_root=PATH' in problem.what


@tasks
def test_a_missing_file_is_answered_with_close_names(tmp_path, write):
    cfg = write(tmp_path)
    (tmp_path / 'train.json').write_text('{}')
    cfg.train_dataloader.dataset.ann_file = 'tarin.json'
    problem = only(cfg, ['train'])
    assert 'did you mean train.json' in problem.what


def test_a_missing_folder_is_answered_with_close_names(tmp_path):
    cfg = coco(tmp_path)
    (tmp_path / 'train').rename(tmp_path / 'trains')
    problem = only(cfg, ['train'])
    assert 'did you mean trains' in problem.what


def test_datasets_inside_wrappers_are_checked(tmp_path):
    cfg = coco(tmp_path)
    inner = [cfg.val_dataloader.dataset, cfg.train_dataloader.dataset]
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(type='ConcatDataset', datasets=inner),
    )
    (tmp_path / 'train/1.jpg').unlink()
    problem = only(cfg, ['train'])
    assert problem.where == 'train_dataloader.dataset.dataset.datasets[1]'


@pytest.mark.parametrize('name', ['.ipynb_checkpoints', '__MACOSX'])
@pytest.mark.parametrize('with_image', [True, False])
def test_a_hidden_folder_is_no_class(tmp_path, name, with_image):
    cfg = folders(tmp_path)
    (tmp_path / 'train' / name).mkdir()
    if with_image:
        write_image(tmp_path / 'train' / name / 'a.jpg')
    problem = only(cfg)
    assert problem.fatal
    assert problem.where == f'{tmp_path}/train'
    assert f'the toolbox reads {name} in it as part of the data' in problem.what


def test_a_hidden_folder_below_images_is_named_only_if_it_holds_some(tmp_path):
    cfg = segmentation(tmp_path)
    (tmp_path / 'images/train/.git').mkdir()
    assert found(cfg) == []
    write_image(tmp_path / 'images/train/.ipynb_checkpoints/0-checkpoint.jpg')
    assert 'the toolbox reads .ipynb_checkpoints in it' in only(cfg).what


@tasks
def test_hidden_files_count_for_nothing(tmp_path, write):
    cfg = write(tmp_path)
    for folder in [path.parent for path in tmp_path.rglob('0.jpg')]:
        for name in ('._0.jpg', '.DS_Store', 'Thumbs.db', 'desktop.ini'):
            (folder / name).write_bytes(b'\x00\x05\x16\x07')
    assert found(cfg) == []


def test_class_folders_of_val_must_be_those_of_train(tmp_path):
    cfg = folders(tmp_path)
    write_image(tmp_path / 'train/ant/0.jpg')
    cfg.model.head.num_classes = 3
    problem = only(cfg)
    assert problem.where == 'val_dataloader.dataset'
    assert 'its class folders are not those of train: ant' in problem.what
    (tmp_path / 'val/ant').mkdir()  # the remedy
    assert found(cfg) == []


def test_a_part_with_a_list_has_no_class_folders(tmp_path):
    cfg = folders(tmp_path, ('cat', 'dog'))
    (tmp_path / 'val.txt').write_text('cat/0.jpg 0\ndog/1.jpg 1\n')
    cfg.val_dataloader.dataset.ann_file = 'val.txt'
    assert found(cfg) == []


def test_what_only_a_transform_of_the_user_can_read_is_not_decoded(tmp_path):
    cfg = folders(tmp_path)
    (tmp_path / 'train/cat/0.jpg').write_bytes(b'raw')
    assert 'cannot be decoded' in only(cfg).what
    own = type('ReadRaw', (BaseTransform,), dict(transform=lambda self, x: x))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.pipeline = [dict(type=own)]
    assert found(cfg) == []


def test_a_dataset_that_takes_no_lazy_init_is_left_alone(tmp_path):
    class Own(BaseDataset):
        def __init__(self, root: str) -> None:
            super().__init__(data_root=root)

    cfg = folders(tmp_path)
    cfg.train_dataloader.dataset = dict(type=Own, root='nowhere')
    assert found(cfg) == []


def test_classes_in_another_order_than_the_folders_are_refused(tmp_path):
    problem = only(folders(tmp_path, ('dog', 'cat')), ['train'])
    assert problem.where == 'train_dataloader.dataset.metainfo.classes'
    assert problem.what.endswith("which number the labels: ['cat', 'dog']")
    assert found(folders_config(tmp_path, ('Cats', 'Dogs'))) == []


def test_a_class_folder_without_images_is_said_by_mmpretrain(tmp_path, capfd):
    cfg = folders(tmp_path)
    for split in ('train', 'val'):
        (tmp_path / split / 'zebra').mkdir()
    cfg.model.head.num_classes = 3
    assert found(cfg) == []
    assert 'no valid file in the folder zebra' in ''.join(capfd.readouterr())


def label_list(tmp_path, content: bytes):
    folders(tmp_path)
    (tmp_path / 'train.txt').write_bytes(content)
    cfg = folders_config(tmp_path)
    cfg.train_dataloader.dataset.ann_file = 'train.txt'
    return cfg


@pytest.mark.parametrize('content', [b'cat/0.jpg\n', b'cat/0.jpg cat\n', b'\n'])
def test_a_list_that_mmpretrain_cannot_read_is_named(tmp_path, content):
    assert found(label_list(tmp_path, b'cat/0.jpg 0\ndog/1.jpg 1\n'), ['train']) == []
    problem = only(label_list(tmp_path, content), ['train'])
    assert problem.where == f'{tmp_path}/train.txt'
    assert 'cannot be read' in problem.what
    assert problem.what.endswith('each line is `image label`')


@pytest.mark.parametrize('classes', [None, ('cat', 'dog')])
def test_labels_of_a_list_that_are_no_classes_are_refused(tmp_path, classes):
    cfg = label_list(tmp_path, b'cat/0.jpg 1\ndog/1.jpg 2\n')
    if classes:
        cfg.train_dataloader.dataset.metainfo = dict(classes=classes)
    problem = only(cfg, ['train'])
    assert problem.where == f'{tmp_path}/train.txt'
    assert 'has labels from 1 to 2 for 2 classes - number them from 0' in problem.what


@tasks
def test_a_class_that_is_named_twice_is_refused(tmp_path, write):
    cfg = write(tmp_path)
    cfg.val_dataloader.dataset.metainfo = dict(classes=('cat', 'cat'))
    problem = only(cfg)
    assert problem.where == 'val_dataloader.dataset.metainfo.classes'
    assert problem.what.startswith('has cat more than once')


@pytest.mark.parametrize(
    ('encoding', 'words', 'remedy'),
    [
        ('utf-8-sig', 'begins with a byte order mark', 'sed -i'),
        ('gbk', 'is not UTF-8 text', 'iconv -f GBK'),
        ('utf-16', 'is UTF-16 text', 'iconv -f UTF-16'),
    ],
)
class TestEncodings:
    """What Windows writes, in each kind of text that the toolboxes read themselves."""

    def test_of_a_coco_json(self, tmp_path, encoding, words, remedy):
        cfg, path = coco(tmp_path), tmp_path / 'train.json'
        text = path.read_text().replace('{', '{"info": "鸟", ', 1)
        path.write_text(text, encoding)
        problem = only(cfg)
        assert problem.where == str(path)
        assert words in problem.what
        assert remedy in problem.what

    @tasks
    def test_of_a_list_of_classes(self, tmp_path, write, encoding, words, remedy):
        cfg, path = write(tmp_path), tmp_path / 'classes.txt'
        path.write_text('鸟\n狗\n', encoding)
        cfg.train_dataloader.dataset.metainfo = dict(classes=str(path))
        with pytest.raises(UserError) as caught:
            found(cfg)
        assert str(caught.value).startswith(f'{path}: {words}')
        assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ('metainfo', 'words'),
    [
        (dict(classes='cat'), r"is the text 'cat', .* write \('cat',\) with"),
        (dict(classes='clases.txt'), r'is the text .* or a file that exists'),
    ],
)
@tasks
def test_classes_that_are_no_list_are_refused(tmp_path, write, metainfo, words):
    cfg = write(tmp_path)
    cfg.val_dataloader.dataset.metainfo = metainfo
    where = r'val_dataloader\.dataset\.metainfo\.classes'
    with pytest.raises(UserError, match=f'{where}: {words}'):
        found(cfg)


def test_an_unknown_dataset_is_named_with_its_place(tmp_path):
    cfg = coco(tmp_path)
    cfg.train_dataloader.dataset.type = 'CocoDataSet'
    with pytest.raises(UserError, match=r'train_dataloader\.dataset: .*CocoDataSet'):
        found(cfg)
