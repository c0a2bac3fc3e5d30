"""Public reports, as their reporters had them: each is said before a training."""

import pytest

from mmghost.checks import Problem
from mmghost.errors import UserError

from .data import coco_config, folders_config, found, segmentation_config

pytestmark = pytest.mark.realdata


def cells(root, classes=('RBC', 'WBC', 'Platelets'), save_best='auto'):
    cfg = coco_config(root, classes, ('images', 'images'))
    cfg.default_hooks = dict(
        checkpoint=dict(type='CheckpointHook', save_best=save_best)
    )
    return cfg


def nuclei(root, classes=('background', 'nucleus'), **settings):
    return segmentation_config(root, classes, 'img_dir', 'ann_dir', **settings)


def digits(root):
    return folders_config(root, count=4)


CASES = {
    'backslash_names': (cells, {}, 'write names with / and no drive'),
    'bom': (cells, {}, 'begins with a byte order mark'),
    'duplicate_category': (
        cells,
        {},
        'category RBC is listed twice or more, ids 0, 1 - keep id 1',
    ),
    'float_tiff': (nuclei, dict(img_suffix='.tif'), 'cannot be decoded'),
    'hidden_class_folder': (digits, {}, '.ipynb_checkpoints'),
    'masks_0_255': (
        nuclei,
        {},
        '255 is ignored: if it is a class, new_config.py writes',
    ),
    'missing_comma': (cells, dict(classes='Platelets'), "write ('Platelets',)"),
    'no_metainfo': (nuclei, dict(classes=None), 'names no classes'),
    'picture_suffix': (nuclei, {}, '_mask.png'),
    'save_best_name': (cells, dict(save_best='bbox_mAP'), 'coco/bbox_mAP'),
}


@pytest.fixture
def cases(realdata):
    folder = realdata.parent / 'cases'
    if not folder.is_dir():
        pytest.skip(f'no public reports in {folder}')
    return folder


@pytest.mark.parametrize('name', CASES)
def test_a_public_report_has_one_message_a_loader(name, cases):
    config_of, settings, words = CASES[name]
    cfg = config_of(cases / name, **settings)
    try:
        problems = found(cfg)
    except UserError as error:
        problems = [Problem('', str(error))]
    assert 1 <= len(problems) <= 2
    for problem in problems:
        assert problem.fatal
        assert words in str(problem)


@pytest.mark.parametrize(
    ('name', 'config_of'),
    [('save_best_name', cells), ('no_metainfo', nuclei), ('resume_longer', digits)],
)
def test_their_whole_data_passes(name, config_of, cases):
    assert found(config_of(cases / name)) == []
