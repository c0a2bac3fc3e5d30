"""What new_config plans and writes, and that the toolboxes train on it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from PIL import Image

from mmghost.checks import preflight
from mmghost.datasets.custom import Choices, new_config
from mmghost.datasets.custom.planning import (
    Machine,
    Objects,
    Plan,
    fit_anchors,
    fitting_size,
    make_plan,
)

from .conftest import CLASSES, WAYS, edit_json, write

CPU, GPU = Machine(0, 0.0, 2), Machine(1, 24.0, 16)
TRAIN, VAL = 'coco/train.json', 'coco/val.json'


def objects(sides, size=640):
    entries = [
        dict(image_id=i % 4, category_id=1, bbox=[0, 0, side, side])
        for i, side in enumerate(sides)
    ]
    images = [dict(id=i, width=size, height=size) for i in range(4)]
    categories = [dict(id=1, name='a')]
    content = dict(images=images, annotations=entries, categories=categories)
    return Objects.of(content, ['a'])


# -- the plan ----------------------------------------------------------------------------


def test_a_machine_without_gpu_gets_few_epochs_and_one_with_more():
    plan = make_plan(Choices(light=True), CPU, 200, 320, 8)
    assert plan == Plan(size=320, batch=8, epochs=10, per_epoch=25, workers=1)
    plan = make_plan(Choices(light=False), GPU, 200, 640, 16)
    assert plan.workers == 4
    assert 12 <= plan.epochs <= 150


def test_the_batch_fits_memory_and_data():
    choices = Choices(light=False)
    assert make_plan(choices, GPU, 5000, 640, 16).batch == 16
    assert make_plan(choices, GPU._replace(memory=8.0), 5000, 1000, 16).batch == 2
    assert make_plan(choices, CPU, 9, 640, 8).batch == 2  # four steps in an epoch


def test_choices_come_before_the_plan():
    choices = Choices(light=False, size=512, batch=3, epochs=77)
    assert make_plan(choices, CPU, 200, 640, 8) == Plan(512, 3, 77, 67, 1)


@pytest.mark.parametrize(
    ('epochs', 'per_epoch', 'steps'),
    [(1, 4, 0), (1, 19, 0), (5, 4, 2), (30, 4, 4), (10, 26, 26), (100, 1000, 50)],
)
def test_the_warm_up_ends_within_an_epoch_or_there_is_none(epochs, per_epoch, steps):
    assert Plan(320, 8, epochs, per_epoch, 1).warm_up == steps


def test_small_objects_get_a_larger_input_up_to_the_size_of_the_images():
    assert fitting_size([640], 320, objects([60] * 9)) == 320
    assert fitting_size([640], 320, objects([16] * 9)) == 480  # where 16 px are 12
    assert fitting_size([640], 320, objects([4] * 9)) == 640
    assert fitting_size([250], 320, objects([60] * 9, size=250)) == 256


@pytest.mark.parametrize(
    ('side', 'scale'), [(100, None), (32, None), (24, 3), (11, 2), (4, 2)]
)
def test_the_smallest_anchors_are_the_median_object_or_half_of_the_usual(side, scale):
    generator = dict(type='AnchorGenerator', strides=[8, 16], octave_base_scale=4)
    model = dict(bbox_head=dict(anchor_generator=generator))
    boxes = np.full((5, 2), float(side))
    assert fit_anchors(model, boxes).get('scale') == scale


# -- the config --------------------------------------------------------------------------


@pytest.mark.parametrize('form', WAYS)
def test_a_config_of_each_form_passes_the_checks_and_reads_the_data(own, form):
    cfg = write(form)
    assert [
        p for p in preflight(cfg, ('train', 'val', 'test'), note=len) if p.fatal
    ] == []
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            dataset = DATASETS.build(loader.dataset)
            assert len(dataset)
            assert dataset[0] is not None


def test_the_config_has_classes_paths_and_heads_of_the_data(own):
    edit_json(TRAIN, lambda c: c['categories'].append(dict(id=99, name='ghost')))
    notes = []
    cfg = write('coco', notes, epochs=3, batch=2, light=True, keep_empty=True)
    assert list(cfg.classes) == CLASSES  # ghost has no object
    assert cfg.model.bbox_head.num_classes == 8
    dataset = cfg.train_dataloader.dataset
    assert (dataset.ann_file, dataset.data_prefix.img) == (TRAIN, 'coco/images')
    assert dataset.filter_cfg.filter_empty_gt is False
    assert cfg.val_evaluator == cfg.test_evaluator
    assert (cfg.val_evaluator.ann_file, cfg.val_evaluator.classwise) == (VAL, True)
    # By class, the first figure of the evaluation is the AP of one class.
    assert cfg.default_hooks.checkpoint.save_best == 'coco/bbox_mAP'
    assert cfg.model.backbone.init_cfg is None
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (3, 2)


def test_mmdet_numbers_the_classes_as_they_are_asked_for(own):
    edit_json(VAL, lambda c: c['categories'].reverse())
    cfg = write('coco', classes=CLASSES[2::-1])
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        content = json.loads(Path(loader.dataset.ann_file).read_text())
        assert [e['name'] for e in content['categories'][:3]] == CLASSES[2::-1]


@pytest.mark.parametrize(
    ('model', 'width'),
    [('retinanet', 1.6), ('faster-rcnn', 1.0), ('yolov3', 1.3), ('rtmdet', 1.0)],
)
def test_every_detector_and_width_is_written_so_that_it_builds(own, model, width):
    cfg = write('coco', model=model, width=width, light=False, weights=None)
    checkpoint = cfg.model.backbone.init_cfg.checkpoint
    assert checkpoint.endswith(f'/ck_ghostnetv2_{round(width * 10)}.pth.tar')
    with DefaultScope.overwrite_default_scope('mmdet'):
        backbone = MODELS.build(cfg.model.backbone)
    channels = backbone.out_channels[:: -1 if model == 'yolov3' else 1]
    assert tuple(cfg.model.neck.in_channels) == channels
    head = cfg.model.get('bbox_head') or cfg.model.roi_head.bbox_head
    assert head.num_classes == len(cfg.classes)
    # The learning rate of its recipe, for the batch.
    recipe = {'retinanet': 0.01 / 16, 'faster-rcnn': 0.02 / 16, 'yolov3': 0.003 / 192}
    lr = recipe.get(model, 0.004 / 256) * cfg.batch_size
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(lr, rel=0.05)  # two digits


ONE, TWO = 'model.test_cfg.score_thr', 'model.test_cfg.rcnn.score_thr'


@pytest.mark.parametrize(
    ('form', 'metric', 'threshold'),
    [
        ('coco', 'coco/bbox_mAP', ONE),
        pytest.param('masks', 'coco/segm_mAP', TWO, marks=pytest.mark.slow),
        pytest.param('voc', 'coco/bbox_mAP', ONE, marks=pytest.mark.slow),
        pytest.param('maps', 'mIoU', None, marks=pytest.mark.slow),
        pytest.param('folders', 'accuracy/top1', None, marks=pytest.mark.slow),
    ],
)
def test_the_config_trains_and_is_evaluated_unchanged(own, form, metric, threshold):
    from mmghost.engine.launch import load_config, prepare_train, run_train
    from tests.engine.toys import forget_runners

    write(form, epochs=1, batch=8, size=64)
    # Two steps make nothing sure enough to be found.
    options = {threshold: 0.0} if threshold else {}
    try:
        run_train(prepare_train(load_config('mine.py', options, work_dir='work')))
    finally:
        forget_runners()
    (log,) = Path('work').glob('*/vis_data/scalars.json')
    assert any(metric in json.loads(line) for line in log.read_text().splitlines())


# -- label maps --------------------------------------------------------------------------


def repaint(change, suffix='.png') -> None:
    """Replace the pixels of all label maps."""
    for path in sorted(Path('maps/ann_dir').rglob('*.png')):
        pixels = change(np.array(Image.open(path)))
        path.unlink()
        path = path.with_name(path.name.replace('.png', suffix))
        Image.fromarray(pixels.astype(np.uint8)).save(path)


def test_void_is_ignored_by_loss_metric_crops_and_padding(own):
    names = ['none', *CLASSES[:7]]
    cfg = write('maps', classes=names, ignore_label=['8'], light=False)
    heads = (cfg.model.decode_head, cfg.model.auxiliary_head, cfg.val_evaluator)
    assert [each.ignore_index for each in heads] == [8, 8, 8]
    assert cfg.model.data_preprocessor.seg_pad_val == 8
    assert cfg.train_pipeline[3].ignore_index == 8
    assert cfg.train_dataloader.dataset.ignore_index == 8
    assert cfg.model.decode_head.num_classes == 8
    repaint(lambda pixels: np.where(pixels == 8, 0, pixels + 1))
    cfg = write('maps', classes=names, ignore_label=['0'], overwrite=True)
    assert cfg.train_dataloader.dataset.reduce_zero_label


COLORS = np.random.default_rng(0).permutation(256)[:27].reshape(9, 3)


@pytest.mark.parametrize('kind', ['255', 'alpha', 'rgb'])
def test_label_maps_of_other_values_and_colors_are_converted(own, kind):
    before = {p.stem: np.array(Image.open(p)) for p in Path('maps').rglob('*.png')}
    if kind != 'rgb':
        repaint(lambda pixels: np.where(pixels > 0, 255, 0), '_mask.png')
        for path in Path('maps').rglob('*.png') if kind == 'alpha' else ():
            Image.open(path).convert('LA').save(path)
        cfg = write('maps', classes=['none', 'shape'], label_values=['0', '255'])
    else:
        repaint(lambda pixels: COLORS[pixels], '_mask.png')
        void, *values = (','.join(map(str, color)) for color in COLORS.tolist())
        cfg = write('maps', classes=CLASSES, label_values=values, ignore_label=[void])
        assert cfg.metainfo.palette == COLORS[1:].tolist()
    dataset = cfg.train_dataloader.dataset
    assert dataset.data_prefix.seg_map_path == 'mine_data/train'
    maps = {p.stem: np.array(Image.open(p)) for p in Path('mine_data').rglob('*.png')}
    assert maps.keys() == before.keys()
    for name, pixels in maps.items():
        old = before[name]
        expected = old > 0 if kind != 'rgb' else np.where(old == 0, 255, old - 1)
        assert np.array_equal(pixels, expected)


@pytest.mark.parametrize(
    ('image', 'label'),
    [
        ('_sat.jpg', '_mask.png'),
        ('_leftImg8bit.jpg', '_gtFine_labelIds.png'),
        ('.jpg', '_L.png'),
        ('_s.jpg', '_seg.png'),
    ],
)
def test_the_ends_of_names_are_found(own, image, label):
    for folder, end in (('img_dir', image), ('ann_dir', label)):
        for path in Path(f'maps/{folder}').rglob('*.*'):
            path.rename(path.with_name(path.stem + end))
    dataset = write('maps').train_dataloader.dataset
    assert (dataset.img_suffix, dataset.seg_map_suffix) == (image, label)


def test_images_and_label_maps_in_one_folder_and_several_kinds(own):
    for split in ('train', 'val'):
        for path in sorted(Path(f'maps/ann_dir/{split}').iterdir()):
            target = Path(f'maps/img_dir/{split}')
            shutil.copy(path, target / f'{path.stem}_color.png')
            path.rename(target / f'{path.stem}_ids.png')
    folders = dict(train_maps='maps/img_dir/train', val_maps='maps/img_dir/val')
    with pytest.raises(Exception, match=r'--map-suffix: _color\.png, _ids\.png'):
        write('maps', **folders)
    cfg = write('maps', **folders, map_suffix='_ids.png')
    assert cfg.train_dataloader.dataset.seg_map_suffix == '_ids.png'


# -- real data ---------------------------------------------------------------------------

CAMVID = (
    'Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist'
)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ('name', 'task', 'train', 'classes', 'count'),
    [
        ('bccd', 'detection', 'train.json', '', 3),
        ('nuclei', 'instance', 'train.json', '', 1),
        ('nuclei_semseg', 'segmentation', 'img_dir/train', '', 2),
        ('camvid', 'segmentation', 'images/train', CAMVID, 11),
        ('sign_digits', 'classification', 'train', '', 10),
    ],
)
def test_real_data_go_through_untouched(
    realdata, tmp_path, monkeypatch, name, task, train, classes, count
):
    monkeypatch.chdir(tmp_path)
    ignored = ['11'] if name == 'camvid' else []
    choices = Choices(ignore_label=ignored, classes=classes.split())
    parts = [f'{realdata}/{name}/{train.replace("train", x)}' for x in ('train', 'val')]
    path = new_config(task, *parts, 'mine.py', choices=choices, note=len)
    assert len(Config.fromfile(path).classes) == count
    assert not Path('mine_data').exists()
