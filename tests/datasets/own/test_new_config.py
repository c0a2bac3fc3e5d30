"""What new_config plans and writes, and that the toolboxes train on it."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmghost.datasets.own import new_config
from mmghost.datasets.own.anchors import best_scale, cluster, grid, matched, shape_iou
from mmghost.datasets.own.conversion import to_coco
from mmghost.datasets.own.forms import classes_near, find_labels
from mmghost.datasets.own.making import Choices
from mmghost.datasets.own.objects import count_objects, odd_objects, wrong_sizes
from mmghost.datasets.own.plan import Machine, fitting_size, make_plan, power_of_two
from mmghost.datasets.own.source import Code, source
from mmghost.errors import UserError

from .breaking import TRAIN, VAL, WAYS, edit, write

CPU, GPU = Machine(0, 0.0, 2), Machine(1, 24.0, 16)


def objects(sides, size=640, pictures=4):
    entries = [
        dict(image_id=i % pictures, category_id=1, bbox=[0, 0, side, side])
        for i, side in enumerate(sides)
    ]
    images = [dict(id=i, width=size, height=size) for i in range(pictures)]
    content = dict(
        images=images, annotations=entries, categories=[dict(id=1, name='a')]
    )
    return count_objects(content, ['a'])


def test_labels_of_every_form_are_the_same_boxes(own):
    pytest.importorskip('supervision')
    coco = json.loads((own / TRAIN).read_text())
    names = {entry['id']: entry['name'] for entry in coco['categories']}

    def boxes(content: dict, prefix: str = '') -> list:
        files = {
            image['id']: Path(image['file_name']).name for image in content['images']
        }
        kinds = {entry['id']: entry['name'] for entry in content['categories']}
        return sorted(
            (
                files[e['image_id']].removeprefix(prefix),
                kinds[e['category_id']],
                e['bbox'],
            )
            for e in content['annotations']
        )

    expected = boxes(coco)
    assert len(expected) > 20
    assert set(names.values()) >= {name for _, name, _ in expected}
    for form in ('voc', 'yolo'):
        found, problems = to_coco(
            find_labels(WAYS[form][1], split='train'), progress=False
        )
        assert problems == []
        converted = boxes(found)
        assert [entry[:2] for entry in converted] == [entry[:2] for entry in expected]
        # Six digits of a fraction of 96 px, and two digits of a pixel, are kept.
        ours = np.array([entry[2] for entry in converted])
        assert np.abs(ours - [entry[2] for entry in expected]).max() < 0.011


def test_yolo_polygons_become_masks(own):
    pytest.importorskip('supervision')
    from pycocotools import mask

    label = own / 'yolo/labels/train/train_000000000001.txt'
    label.write_text('2 0.25 0.25 0.75 0.25 0.75 0.5 0.25 0.5\n')
    content, problems = to_coco(
        find_labels('yolo/data.yaml', split='train'), masks=True, progress=False
    )
    assert problems == []
    entry = next(e for e in content['annotations'] if 'segmentation' in e)
    assert entry['category_id'] == 2
    assert entry['bbox'] == [24, 24, 48, 24]
    # 96 px: columns 24 to 72 and rows 24 to 48, with OpenCV's outline of one pixel.
    assert mask.decode(entry['segmentation']).sum() == pytest.approx(49 * 25, abs=1)
    assert entry['area'] == mask.area(entry['segmentation'])


@pytest.mark.parametrize('others', ['', 'yolo/images/train/'])
def test_a_list_may_name_pictures_from_here_and_from_the_root(own, others):
    pytest.importorskip('supervision')
    pictures = sorted((own / 'yolo/images/train').iterdir())
    lines = [str(pictures[0]), *(others + picture.name for picture in pictures[1:])]
    # Names without a folder are of the list's own.
    place = own / ('train.txt' if others else 'yolo/images/train/train.txt')
    place.write_text('\n'.join(lines))
    names = [
        'circle',
        'crescent',
        'cross',
        'heart',
        'ring',
        'square',
        'star',
        'triangle',
    ]
    labels = find_labels(str(place), classes=names)
    content, problems = to_coco(labels, progress=False)
    assert problems == []
    found = [Path(labels.pictures, image['file_name']) for image in content['images']]
    assert [path.resolve() for path in found] == pictures


@pytest.mark.parametrize(
    'place', ['coco/train.json', 'voc', 'yolo/images/train', 'yolo/data.yaml']
)
def test_the_form_is_told_from_what_is_given(own, place):
    (own / 'yolo/classes.txt').write_text('\n'.join('abcdefgh'))
    labels = find_labels(place, split='train')
    assert labels.form == place.split('/')[0]
    if labels.form != 'coco':
        assert all(Path(label).is_file() for _, label in labels.files)


def test_a_machine_without_gpu_gets_the_light_heads_and_small_pictures():
    plan = make_plan(CPU, 200, 640, 8, objects([60] * 9))
    assert plan == (True, 320, 8, 10, 1)
    plan = make_plan(GPU, 200, 640, 16, objects([60] * 9))
    assert (plan.light, plan.size, plan.workers) == (False, 640, 4)
    assert 12 <= plan.epochs <= 150


def test_the_batch_fits_memory_and_data():
    assert make_plan(GPU, 5000, 640, 16).batch == 16
    assert make_plan(GPU._replace(memory=8.0), 5000, 1000, 16).batch == 2
    assert make_plan(CPU, 9, 640, 8).batch == 2  # four steps in an epoch, not one
    assert [power_of_two(x) for x in (0.1, 1, 3.9, 4, 1000)] == [1, 1, 2, 4, 512]


def test_the_persons_choices_come_before_the_plan():
    plan = make_plan(CPU, 200, 640, 8, light=False, size=512, batch=3, epochs=77)
    assert plan == (False, 512, 3, 77, 1)


def test_small_objects_get_larger_pictures_up_to_their_own_size():
    assert fitting_size(640, 320, objects([60] * 9)) == 320
    assert fitting_size(640, 320, objects([16] * 9)) == 480  # where 16 px are 12
    assert fitting_size(640, 320, objects([4] * 9)) == 640
    assert fitting_size(250, 320, objects([60] * 9, size=250)) == 256


def test_anchors_are_judged_by_shape():
    assert shape_iou(
        np.array([[2.0, 2]]), np.array([[2.0, 2], [1, 2], [4, 4]])
    ).tolist() == [[1, 0.5, 0.25]]
    # mmdet's own generator, ratio being height over width.
    from mmdet.models.task_modules import AnchorGenerator

    theirs = AnchorGenerator([8, 16], ratios=[0.5, 1.0], scales=[4.0]).base_anchors
    sizes = np.concatenate([np.array(level[:, 2:] - level[:, :2]) for level in theirs])
    assert np.allclose(grid((8, 16), (4,), (0.5, 1.0)), sizes, atol=1e-3)
    assert matched(np.array([[8.0, 8], [100, 100]]), np.array([[8.0, 9]])) == 0.5


def test_anchors_change_only_where_that_gains_boxes():
    strides = (8, 16, 32, 64, 128)
    usual = np.array([[40.0, 40], [100, 90], [300, 250]])
    assert best_scale(usual, strides, 4, 3)[0] == 4
    small = np.array([[10.0, 10], [12, 11], [14, 16]] * 3)
    scale, share, before = best_scale(small, strides, 4, 3)
    assert scale < 4
    assert share == 1.0 > before


def test_anchors_lie_on_maps_that_show_the_boxes():
    # Scales 1 and 1.5 match as many of them, but on maps of 8 px a position and more.
    boxes = np.array([[10.0, 10], [11, 10], [12, 12], [13, 14]])
    scale, share, before = best_scale(boxes, (4, 8, 16, 32, 64), 8)
    assert (scale, share, before) == (3, 1.0, 0.0)
    assert matched(boxes, grid((4, 8, 16, 32, 64), (1.5,), (0.5, 1.0, 2.0))) == 1.0


def test_clusters_find_the_shapes_that_boxes_have():
    shapes = np.array([(10, 10), (20, 60), (60, 20), (100, 100)] * 25, float)
    noise = np.random.default_rng(0).uniform(0.95, 1.05, shapes.shape)
    found = cluster(shapes * noise, count=4)
    assert np.allclose(
        sorted(found.round(-1).tolist()),
        sorted(set(map(tuple, shapes.tolist()))),
        rtol=0.1,
    )


def test_values_are_written_as_python_reads_them():
    value = dict(a=[(1, 2.5)], b=dict(c='x', d=None), e=('one',), f=Code('len(k)'))
    assert (
        source(value)
        == "dict(a=[(1, 2.5)], b=dict(c='x', d=None), e=('one',), f=len(k))"
    )
    long = dict(numbers=list(range(60)), words='x' * 60)
    assert eval(source(long)) == long
    assert max(map(len, source(list(range(100, 160))).split('\n'))) < 88


def test_the_config_has_classes_paths_and_heads_of_the_data(own):
    cfg = Config.fromfile(write('coco', epochs=3, batch=2, light=True))
    names = [c['name'] for c in json.loads((own / TRAIN).read_text())['categories']]
    assert cfg.model.bbox_head.num_classes == len(cfg.classes) <= len(names)
    assert list(cfg.classes) == [name for name in names if name in cfg.classes]
    assert cfg.train_dataloader.dataset.ann_file == TRAIN
    assert cfg.train_dataloader.dataset.data_prefix.img == 'coco/images/'
    assert cfg.val_evaluator == cfg.test_evaluator
    assert cfg.val_evaluator.ann_file == VAL
    assert cfg.val_evaluator.classwise
    # By class, what comes first in the evaluation is the AP of one class.
    assert cfg.default_hooks.checkpoint.save_best == 'coco/bbox_mAP'
    assert cfg.model.backbone.init_cfg is None
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (3, 2)


@pytest.mark.parametrize('model', ['retinanet', 'faster-rcnn', 'yolov3', 'rtmdet'])
@pytest.mark.parametrize('width', [1.0, 1.6])
def test_every_detector_and_width_is_written_so_that_it_builds(own, model, width):
    from mmengine.registry import MODELS, DefaultScope

    path = write('coco', model=model, width=width, light=False)
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope('mmdet'):
        backbone = MODELS.build(cfg.model.backbone)
    channels = backbone.out_channels[:: -1 if model == 'yolov3' else 1]
    assert tuple(cfg.model.neck.in_channels) == channels
    head = cfg.model.get('bbox_head') or cfg.model.roi_head.bbox_head
    assert head.num_classes == len(cfg.classes)
    # Its recipe's lr, for the batch that is trained.
    recipe = {'retinanet': 0.01 / 16, 'faster-rcnn': 0.02 / 16}
    if model in recipe:
        lr = cfg.optim_wrapper.optimizer.lr
        assert lr == pytest.approx(recipe[model] * cfg.batch_size, rel=0.05)


def test_released_weights_follow_the_width(own):
    path = new_config(
        'detection', TRAIN, VAL, 'mine.py', choices=Choices(width=1.3), note=len
    )  # fmt: skip
    checkpoint = Config.fromfile(path).model.backbone.init_cfg.checkpoint
    assert checkpoint.endswith('/ck_ghostnetv2_13.pth.tar')


ONE, TWO = 'model.test_cfg.score_thr', 'model.test_cfg.rcnn.score_thr'


@pytest.mark.parametrize(
    ('form', 'metric', 'threshold'),
    [
        ('coco', 'coco/bbox_mAP', ONE),
        pytest.param('masks', 'coco/segm_mAP', TWO, marks=pytest.mark.slow),
        pytest.param('voc', 'coco/bbox_mAP', ONE, marks=pytest.mark.slow),
        pytest.param('yolo', 'coco/bbox_mAP', ONE, marks=pytest.mark.slow),
        pytest.param('maps', 'mIoU', None, marks=pytest.mark.slow),
        pytest.param('folders', 'accuracy/top1', None, marks=pytest.mark.slow),
    ],
)
def test_what_is_written_trains_and_is_evaluated_unchanged(
    own, form, metric, threshold
):
    from mmghost.engine.launch import load_config, prepare_train, run_train

    size = 64 if form in ('maps', 'folders') else 96
    path = write(form, epochs=1, batch=8, size=size)
    # Only what a test cannot afford is changed: processes that load pictures, and that
    # two steps make nothing sure enough to be found.
    serial = dict(num_workers=0, persistent_workers=False)
    options = dict(train_dataloader=serial, val_dataloader=serial)
    options |= {threshold: 0.0} if threshold else {}
    run_train(prepare_train(load_config(str(path), options, work_dir='work')))
    (log,) = Path('work').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(metric in line for line in lines)


def test_odd_objects_are_told_but_stop_nothing(own):
    content = json.loads((own / TRAIN).read_text())
    names = [category['name'] for category in content['categories']]
    content['categories'].append(dict(id=99, name='ghost'))
    content['annotations'][0]['bbox'] = [90, 10, 30, 20]
    found = odd_objects(content, 'a.json', [*names, 'ghost'], 'train')
    words = '\n'.join(map(str, found))
    assert not any(problem.fatal for problem in found)
    assert 'no object of the classes' in words
    assert 'ghost' in words
    assert '1 boxes reach over the border of their picture: id 1' in words
    assert odd_objects(content, 'a.json', ['ghost'], 'train')[0].fatal


def test_pictures_turned_by_their_exif_have_the_size_that_opencv_reads(own):
    import cv2
    from PIL import Image

    path = own / 'coco/images/train_000000000001.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (40, 30)).save(path, exif=exif)
    assert cv2.imread(str(path)).shape[:2] == (40, 30)
    edit(TRAIN, 'images.0.width', 30)(own)
    edit(TRAIN, 'images.0.height', 40)(own)
    content = json.loads((own / TRAIN).read_text())
    assert wrong_sizes(content, 'coco/images', TRAIN) == []


@pytest.mark.parametrize(
    'lines', ['none\na\nb', '0 none\n1 a\n2 b\n', '0: none\n1: a\n2: b']
)
def test_names_of_classes_are_read_with_and_without_numbers(tmp_path, lines):
    (tmp_path / 'classes.txt').write_text(lines)
    assert classes_near(str(tmp_path / 'maps' / 'train')) == ('none', 'a', 'b')


def test_names_in_another_encoding_are_told(tmp_path):
    (tmp_path / 'classes.txt').write_bytes('Straße\n'.encode('latin-1'))
    with pytest.raises(UserError, match=r'classes\.txt cannot be read.*utf-8'):
        classes_near(str(tmp_path))
