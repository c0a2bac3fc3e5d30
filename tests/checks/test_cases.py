"""Public reports, as their reporters had them: each is said before a training."""

import pytest

from mmghost.checks import Problem
from mmghost.errors import UserError

from .data import LOAD, case, config, folders_config, found, segmentation_config

pytestmark = pytest.mark.realdata
CELLS = ('RBC', 'WBC', 'Platelets')


def blood(root, classes=CELLS):
    parts = [
        dict(
            type='CocoDataset', data_root=str(root), ann_file=f'{split}.json',
            data_prefix=dict(img='images'), metainfo=dict(classes=classes),
            test_mode=split == 'val', pipeline=LOAD,
        )
        for split in ('train', 'val')
    ]  # fmt: skip
    head = dict(bbox_head=dict(num_classes=len(classes)))
    return config('mmdet', head, *parts, dict(type='CocoMetric'))


def nuclei(root, classes=('background', 'nucleus'), **settings):
    return segmentation_config(root, classes, 'img_dir', 'ann_dir', **settings)


def save_best(root):
    cfg = blood(root)
    cfg.default_hooks = dict(
        checkpoint=dict(type='CheckpointHook', save_best='bbox_mAP')
    )
    return cfg


CASES = {
    'backslash_names': (blood, 'their names have backslashes'),
    'bom': (blood, 'begins with a byte order mark'),
    'duplicate_category': (blood, 'category RBC stands 2 times (ids 0, 1)'),
    'float_tiff': (
        lambda root: nuclei(root, img_suffix='.tif'),
        'TIFF with pixels of type F',
    ),
    'hidden_class_folder': (
        lambda root: folders_config(root, count=4),
        '.ipynb_checkpoints',
    ),
    'masks_0_255': (nuclei, 'if it means nucleus, let new_config.py write'),
    'missing_comma': (lambda root: blood(root, ('Platelets')), "write ('Platelets',)"),
    'no_metainfo': (lambda root: nuclei(root, None), 'names no classes'),
    'picture_suffix': (nuclei, '_mask.png'),
    'save_best_name': (save_best, 'coco/bbox_mAP'),
}


@pytest.mark.parametrize('name', CASES)
def test_a_public_report_has_one_message_a_loader(name, realdata, tmp_path):
    config_of, words = CASES[name]
    try:
        problems = found(config_of(case(realdata, name, tmp_path)))
    except UserError as error:
        problems = [Problem('', str(error))]
    assert 1 <= len(problems) <= 2
    for problem in problems:
        assert problem.fatal
        assert words in str(problem)


@pytest.mark.parametrize('name', ['save_best_name', 'no_metainfo', 'resume_longer'])
def test_their_whole_data_passes(name, realdata, tmp_path):
    make = {'save_best_name': blood, 'no_metainfo': nuclei}.get(name)
    root = case(realdata, name, tmp_path)
    assert found(make(root) if make else folders_config(root, count=4)) == []
