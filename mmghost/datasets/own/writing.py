"""The text of a config for data of one's own: short, for a person to read and change."""

import colorsys
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .plan import Plan
from .source import Code, assign, comment, source


class Detector(NamedTuple):
    """What a config for one of the detectors needs to know.

    Attributes:
        title: Its name.
        base: Its model in ``configs/_base_/models``, for GPUs.
        light: The one with light heads; that for GPUs where it is light itself.
        heads: Where the number of classes stands, below ``model``.
        optimizer: Of its recipe, with the lr for ``recipe_batch`` pictures.
        recipe_batch: The batch size that the lr is for.
        batch: Pictures a step on one GPU at most.
        anchors: How its config names them: ``'scales'``, ``'octaves'`` (RetinaNet's),
            ``'shapes'`` (YOLOv3's); empty for heads that have none.
        strides: Of the anchors on GPUs and with light heads, where they have scales.
        square: Whether its recipe pads pictures to squares.
    """

    title: str
    base: str
    light: str
    heads: tuple[str, ...]
    optimizer: dict[str, Any]
    recipe_batch: int
    batch: int = 16
    anchors: str = ''
    strides: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    square: bool = False


# fmt: off
_SGD = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001)
_BOX = ('roi_head.bbox_head',)
DETECTORS = {
    'retinanet': Detector(
        'RetinaNet', 'retinanet_ghostnetv2_fpn', 'retinanet_ghostnetv2_light',
        ('bbox_head',), _SGD | dict(lr=0.01), 16,
        anchors='octaves', strides=((8, 16, 32, 64, 128), (8, 16, 32))),
    'faster-rcnn': Detector(
        'Faster R-CNN', 'faster-rcnn_ghostnetv2_fpn', 'faster-rcnn_ghostnetv2_fpn',
        _BOX, _SGD, 16, anchors='scales', strides=((4, 8, 16, 32, 64),) * 2),
    'mask-rcnn': Detector(
        'Mask R-CNN', 'mask-rcnn_ghostnetv2_fpn', 'mask-rcnn_ghostnetv2_light',
        (*_BOX, 'roi_head.mask_head'), _SGD, 16,
        anchors='scales', strides=((4, 8, 16, 32, 64),) * 2),
    'yolov3': Detector(
        'YOLOv3', 'yolov3_ghostnetv2', 'yolov3_ghostnetv2', ('bbox_head',),
        _SGD | dict(lr=0.003, weight_decay=0.0005), 64, 32, anchors='shapes'),
    'rtmdet': Detector(
        'RTMDet', 'rtmdet_ghostnetv2', 'rtmdet_ghostnetv2', ('bbox_head',),
        dict(type='AdamW', lr=0.004, weight_decay=0.05), 256, 32, square=True),
}
# fmt: on
_COUNT = Code('len(classes)')
# What the light heads learn well with, from scratch and from weights, for 8 pictures.
_LIGHT_LR = {True: 0.002, False: 0.0005}


def configs_folder() -> Path:
    """The folder of mmghost's configs: beside the package, or inside an installed one."""
    package = Path(__file__).resolve().parents[2]
    beside = package.parent / 'configs'
    return beside if (beside / '_base_').is_dir() else package / '.mim' / 'configs'


def base_path(name: str, out: str) -> str:
    """The path of one of mmghost's configs as a config at ``out`` has to write it."""
    path = configs_folder() / name
    folder = Path(out).resolve().parent
    if folder.is_relative_to(configs_folder().parent):
        text = Path(os.path.relpath(path, folder)).as_posix()
        return text if text.startswith('.') else f'./{text}'
    return path.as_posix()


def nested(path: str, value: Any) -> dict:
    """``nested('a.b', v)`` is ``{'a': {'b': v}}``."""
    for key in reversed(path.split('.')):
        value = {key: value}
    return value


def merged(*parts: Mapping[str, Any]) -> dict:
    """Merge nested dicts; later ones win."""
    result: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result


def starting_weights(weights: str | None, frozen: bool) -> dict[str, Any]:
    """The backbone's part of a config that says what it starts from.

    Args:
        weights: A path or URL, ``'none'`` for random ones, None for what the base has.
        frozen: Whether the base freezes layers and keeps statistics.
    """
    if weights is None:
        return {}
    if weights != 'none':
        return dict(init_cfg=dict(checkpoint=weights))
    melted = dict(frozen_stages=-1, norm_eval=False) if frozen else {}
    return dict(**melted, init_cfg=None)


def cosine_schedule(epochs: int, iterations: int) -> list[dict[str, Any]]:
    """Warm up over at most 50 iterations, then go down a cosine to the last epoch."""
    warm_up = max(1, min(50, iterations // 10))
    return [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
        dict(
            type='CosineAnnealingLR',
            eta_min_ratio=0.01,
            begin=0,
            end=Code('max_epochs'),
            T_max=Code('max_epochs'),
            by_epoch=True,
            convert_to_iter_based=True,
        ),
    ]


def light_lr(weights: str | None, batch: int) -> float:
    """The lr of AdamW for the light heads."""
    return _LIGHT_LR[weights == 'none'] * batch / 8


def detection_text(
    header: Sequence[str],
    bases: Sequence[str],
    detector: Detector,
    classes: Sequence[str],
    train: tuple[str, str],
    val: tuple[str, str],
    plan: Plan,
    anchors: Mapping[str, Any],
    most_objects: int,
    iterations: int,
    weights: str | None,
    masks: bool,
    widen: Mapping[str, Any],
) -> str:
    """Write the config of a detector or an instance segmentor.

    Args:
        header: Comment lines that open it.
        bases: Paths for ``_base_``.
        detector: Which.
        classes: Names of the classes.
        train: Annotation file and picture folder to train on.
        val: The same to validate on.
        plan: Size, batch, epochs, workers.
        anchors: What to override of the model for the boxes' shapes.
        most_objects: How many objects the fullest picture has.
        iterations: Steps of the whole training.
        weights: As for :func:`starting_weights`.
        masks: Whether masks are learned, too.
        widen: What to override of the model for another width.

    Returns:
        The text.
    """
    return _page(
        header,
        bases,
        plan,
        dict(
            classes=tuple(classes),
            size=plan.size,
            batch_size=plan.batch,
            max_epochs=plan.epochs,
        ),
        dict(
            model=_detector_model(
                detector, bases[0], anchors, most_objects, weights, widen
            )
        ),
        _detector_data(train, val, plan, masks),
        _detector_training(detector, plan, iterations, weights),
    )


def _detector_model(
    detector: Detector,
    base: str,
    anchors: Mapping[str, Any],
    most_objects: int,
    weights: str | None,
    widen: Mapping[str, Any],
) -> dict[str, Any]:
    model = merged(
        dict(backbone=starting_weights(weights, 'fpn' in base)),
        widen,
        *(nested(head, dict(num_classes=_COUNT)) for head in detector.heads),
        anchors,
        # Here pictures keep their shape.
        dict(data_preprocessor=dict(pad_size_divisor=32)) if detector.square else {},
    )
    if most_objects > 100:
        kept = -(-most_objects * 5 // 4 // 100) * 100
        place = 'test_cfg.rcnn' if 'rcnn' in detector.base else 'test_cfg'
        model = merged(model, nested(place, dict(max_per_img=kept)))
    if not model['backbone']:
        del model['backbone']
    return model


def _detector_data(
    train: tuple[str, str], val: tuple[str, str], plan: Plan, masks: bool
) -> dict[str, Any]:
    read = dict(type='LoadImageFromFile')
    load = dict(type='LoadAnnotations', with_bbox=True)
    load |= dict(with_mask=True) if masks else {}
    resize = dict(type='Resize', scale=Code('(size, size)'), keep_ratio=True)
    flip = dict(type='RandomFlip', prob=0.5)
    meta = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')

    def dataset(ann_file: str, folder: str, pipeline: str, **more: Any) -> dict:
        return dict(
            data_root='',
            ann_file=ann_file,
            data_prefix=dict(img=folder),
            metainfo=Code('metainfo'),
            **more,
            pipeline=Code(pipeline),
        )

    keep = dict(filter_empty_gt=True, min_size=0)
    return dict(
        metainfo=dict(classes=Code('classes')),
        train_pipeline=[read, load, resize, flip, dict(type='PackDetInputs')],
        test_pipeline=[read, resize, load, dict(type='PackDetInputs', meta_keys=meta)],
        train_dataloader=dict(
            batch_size=Code('batch_size'),
            num_workers=plan.workers,
            dataset=dataset(*train, 'train_pipeline', filter_cfg=keep),
        ),
        val_dataloader=dict(
            num_workers=plan.workers, dataset=dataset(*val, 'test_pipeline')
        ),
        test_dataloader=Code('val_dataloader'),
        val_evaluator=dict(ann_file=val[0], classwise=True),
        test_evaluator=Code('val_evaluator'),
    )


def _detector_training(
    detector: Detector, plan: Plan, iterations: int, weights: str | None
) -> dict[str, Any]:
    if plan.light and detector.light != detector.base:
        optimizer = _light_optimizer(light_lr(weights, plan.batch))
    else:
        lr = detector.optimizer['lr'] * plan.batch / detector.recipe_batch
        optimizer = detector.optimizer | dict(lr=_rounded(lr))
    return dict(
        train_cfg=dict(
            type='EpochBasedTrainLoop',
            max_epochs=Code('max_epochs'),
            val_interval=max(1, plan.epochs // 4),
        ),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        optim_wrapper=_clipped(optimizer),
        param_scheduler=cosine_schedule(plan.epochs, iterations),
        auto_scale_lr=dict(enable=False, base_batch_size=plan.batch),
        # The evaluation's first figure, which 'auto' would take, is that of a class.
        default_hooks=dict(
            logger=dict(interval=10),
            checkpoint=dict(max_keep_ckpts=2, save_best='coco/bbox_mAP'),
        ),
    )


def _light_optimizer(lr: float) -> dict[str, Any]:
    return dict(type='AdamW', lr=_rounded(lr), weight_decay=0.05)


def _clipped(optimizer: dict[str, Any]) -> dict[str, Any]:
    return dict(type='OptimWrapper', optimizer=optimizer, clip_grad=dict(max_norm=10))


def _rounded(lr: float) -> float:
    return float(f'{lr:.2g}')


def _page(
    header: Sequence[str],
    bases: str | Sequence[str],
    plan: Plan,
    *blocks: Mapping[str, Any],
) -> str:
    """Write a config: comment and bases, then blocks of assignments."""
    bases = bases if isinstance(bases, str) else list(bases)
    parts = [f'{comment(header)}\n_base_ = {source(bases, before=9)}']
    parts += [assign(**block) for block in blocks]
    hooks = "custom_hooks = [dict(type='mmghost.ChannelsLastHook')]  # faster on CPUs\n"
    return '\n\n'.join(parts) + '\n' + (hooks if plan.light else '')


def classification_text(
    header: Sequence[str],
    base: str,
    classes: Sequence[str],
    train: str,
    val: str,
    plan: Plan,
    iterations: int,
    weights: str | None,
) -> str:
    """Write the config of a classifier; see :func:`detection_text`."""
    start: dict[str, Any] = {}
    if weights is not None:
        start = dict(load_from=None if weights == 'none' else weights)
    lr = (2e-3 if weights == 'none' else 5e-4) * plan.batch / 32
    return _page(
        header,
        base,
        plan,
        dict(
            classes=tuple(classes),
            size=plan.size,
            batch_size=plan.batch,
            max_epochs=plan.epochs,
        ),
        dict(
            model=dict(head=dict(num_classes=_COUNT)),
            **_classifier_data(train, val, plan),
        ),
        dict(
            train_cfg=dict(
                max_epochs=Code('max_epochs'), val_interval=max(1, plan.epochs // 4)
            ),
            optim_wrapper=dict(optimizer=dict(lr=_rounded(lr))),
            param_scheduler=cosine_schedule(plan.epochs, iterations),
            auto_scale_lr=dict(base_batch_size=plan.batch),
            default_hooks=dict(logger=dict(interval=10)),
            **start,
        ),
    )


def _classifier_data(train: str, val: str, plan: Plan) -> dict[str, Any]:
    read, pack = dict(type='LoadImageFromFile'), dict(type='PackInputs')
    crop = dict(
        type='RandomResizedCrop', scale=Code('size'), crop_ratio_range=(0.25, 1.0)
    )
    flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
    resize = dict(
        type='ResizeEdge',
        scale=Code('size * 8 // 7'),
        edge='short',
        backend='pillow',
        interpolation='bicubic',
    )
    centre = dict(type='CenterCrop', crop_size=Code('size'))

    def loader(folder: str, pipeline: str) -> dict:
        return dict(
            batch_size=Code('batch_size'),
            num_workers=plan.workers,
            dataset=dict(
                data_root='',
                data_prefix=folder,
                metainfo=Code('metainfo'),
                pipeline=Code(pipeline),
            ),
        )

    return dict(
        metainfo=dict(classes=Code('classes')),
        train_pipeline=[read, crop, flip, pack],
        test_pipeline=[read, resize, centre, pack],
        train_dataloader=loader(train, 'train_pipeline'),
        val_dataloader=loader(val, 'test_pipeline'),
        test_dataloader=Code('val_dataloader'),
    )


def segmentation_text(
    header: Sequence[str],
    bases: Sequence[str],
    classes: Sequence[str],
    data: Mapping[str, Any],
    train: tuple[str, str],
    val: tuple[str, str],
    plan: Plan,
    scale: int,
    iterations: int,
    weights: str | None,
) -> str:
    """Write the config of a segmentor; see :func:`detection_text`.

    Args:
        header: Comment lines that open it.
        bases: Paths for ``_base_``.
        classes: Names of the classes.
        data: Suffixes of pictures and label maps.
        train: Folders of pictures and of label maps to train on.
        val: The same to validate on.
        plan: Side of the crops, batch, workers.
        scale: The longer side that pictures are resized to, in px.
        iterations: Steps of the whole training.
        weights: As for :func:`starting_weights`.
    """
    return _page(
        header,
        bases,
        plan,
        dict(
            classes=tuple(classes),
            crop_size=(plan.size, plan.size),
            batch_size=plan.batch,
            max_iters=iterations,
        ),
        dict(model=_segmentor_model(plan, weights)),
        dict(
            metainfo=dict(classes=Code('classes'), palette=_palette(len(classes))),
            **_segmentor_data(data, train, val, plan, scale),
        ),
        _segmentor_training(plan, iterations, weights),
    )


def _segmentor_model(plan: Plan, weights: str | None) -> dict[str, Any]:
    dilations = (1, 6, 12, 18)
    while max(dilations) * 16 >= plan.size and max(dilations) > 1:
        dilations = tuple(max(1, dilation // 2) for dilation in dilations)
    head = dict(dilations=tuple(dict.fromkeys(dilations)), num_classes=_COUNT)
    auxiliary = dict(num_classes=_COUNT)
    if plan.light:
        head |= dict(channels=64, c1_channels=24)
    return dict(
        data_preprocessor=dict(size=Code('crop_size')),
        backbone=dict(output_stride=16, **starting_weights(weights, False)),
        decode_head=head,
        auxiliary_head=None if plan.light else auxiliary,
    )


def _segmentor_data(
    data: Mapping[str, Any],
    train: tuple[str, str],
    val: tuple[str, str],
    plan: Plan,
    scale: int,
) -> dict[str, Any]:
    read, load = dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')
    pack = dict(type='PackSegInputs')
    resize = dict(type='Resize', scale=(scale, scale), keep_ratio=True)
    vary = dict(
        type='RandomResize',
        scale=(scale, scale),
        ratio_range=(0.75, 1.5),
        keep_ratio=True,
    )
    crop = dict(type='RandomCrop', crop_size=Code('crop_size'), cat_max_ratio=0.9)
    flip = dict(type='RandomFlip', prob=0.5)

    def loader(folders: tuple[str, str], pipeline: str, **more: Any) -> dict:
        return dict(
            **more,
            num_workers=plan.workers,
            persistent_workers=True,
            dataset=dict(
                type='BaseSegDataset',
                data_prefix=dict(img_path=folders[0], seg_map_path=folders[1]),
                metainfo=Code('metainfo'),
                **data,
                pipeline=Code(pipeline),
            ),
        )

    return dict(
        train_pipeline=[read, load, vary, crop, flip, pack],
        test_pipeline=[read, resize, load, pack],
        train_dataloader=loader(
            train,
            'train_pipeline',
            batch_size=Code('batch_size'),
            sampler=dict(type='InfiniteSampler', shuffle=True),
        ),
        val_dataloader=loader(
            val,
            'test_pipeline',
            batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        test_dataloader=Code('val_dataloader'),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        test_evaluator=Code('val_evaluator'),
    )


def _segmentor_training(
    plan: Plan, iterations: int, weights: str | None
) -> dict[str, Any]:
    if plan.light:
        optimizer = _light_optimizer(light_lr(weights, plan.batch) * 2)
    else:
        optimizer = dict(
            type='SGD',
            lr=_rounded(0.01 * plan.batch / 16),
            momentum=0.9,
            weight_decay=0.0005,
        )
    interval = max(1, iterations // 4)
    warm_up = dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=False,
        begin=0,
        end=max(1, min(50, iterations // 10)),
    )
    decay = dict(
        type='PolyLR',
        eta_min=1e-5,
        power=0.9,
        begin=0,
        end=Code('max_iters'),
        by_epoch=False,
    )
    return dict(
        train_cfg=dict(
            type='IterBasedTrainLoop',
            max_iters=Code('max_iters'),
            val_interval=interval,
        ),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        optim_wrapper=_clipped(optimizer),
        param_scheduler=[warm_up, decay],
        auto_scale_lr=dict(enable=False, base_batch_size=plan.batch),
        default_hooks=dict(
            logger=dict(interval=10),
            checkpoint=dict(interval=interval, max_keep_ckpts=2),
        ),
    )


def _palette(count: int) -> list[list[int]]:
    """Colours to draw classes in: black for the first, hues around the circle then."""
    hues = [colorsys.hsv_to_rgb(i * 0.381966 % 1, 0.75, 1) for i in range(count - 1)]
    return [[0, 0, 0], *([round(255 * part) for part in hue] for hue in hues)]
