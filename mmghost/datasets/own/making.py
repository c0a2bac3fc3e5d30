"""A config for data of one's own: look at the data, plan, write, check what was written."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config

from ...checks import Problem
from ...checks.annotations import check_class_names, check_coco, load_coco
from ...checks.problems import near_file
from ...checks.images import list_images, image_size
from ...checks import preflight, raise_if_fatal
from ...errors import UserError, examples, near
from . import anchors as anchor_shapes
from .conversion import to_coco
from .forms import (
    SUFFIXES,
    check_images,
    classes_near,
    coco_pictures,
    find_class_folders,
    find_labels,
    find_maps,
)
from .objects import Objects, count_objects, odd_objects, wrong_sizes
from .plan import Machine, Plan, make_plan, this_machine
from .writing import (
    DETECTORS,
    base_path,
    classification_text,
    detection_text,
    segmentation_text,
)

TASKS = ('detection', 'instance', 'segmentation', 'classification')
DEFAULT_MODELS = {'detection': 'retinanet', 'instance': 'mask-rcnn'}
WIDTHS = (1.0, 1.3, 1.6)


class Choices(NamedTuple):
    """What the person chose in place of what the data ask for.

    Attributes:
        model: A detector of ``DETECTORS``; None takes the task's default.
        width: Of GhostNetV2.
        weights: What the backbone starts from: a path or URL, ``'none'`` for random
            weights, None for the authors' ImageNet weights.
        light: Light heads or not; None decides by the machine.
        size: Longer side of the input in px.
        batch: Pictures a step.
        epochs: How often each picture is seen.
    """

    model: str | None = None
    width: float = 1.0
    weights: str | None = None
    light: bool | None = None
    size: int | None = None
    batch: int | None = None
    epochs: int | None = None


class Split(NamedTuple):
    """One part of a detection data set, in COCO's form.

    Attributes:
        ann_file: The JSON, or where it goes if it was converted.
        pictures: The folder of the pictures.
        content: The parsed JSON.
        converted: Whether it was converted from another form.
    """

    ann_file: str
    pictures: str
    content: dict[str, list]
    converted: bool = False


def new_config(
    task: str,
    train: str,
    val: str,
    out: str,
    images: Sequence[str | None] = (None, None),
    maps: Sequence[str | None] = (None, None),
    classes: Sequence[str] = (),
    choices: Choices | None = None,
    machine: Machine | None = None,
    note: Callable[[str], None] = print,
    overwrite: bool = False,
) -> Path:
    """Write a config that trains on a person's data as it is.

    Args:
        task: One of ``TASKS``.
        train: The data to train on; which forms there are,
            :func:`~mmghost.datasets.own.forms.find_labels` says.
        val: The data to validate on.
        out: Where the config goes. VOC and YOLO labels are converted into a folder
            beside it.
        images: Folders of the pictures to train and validate on, where they are not at
            one of the usual places.
        maps: The same of the label maps, for segmentation.
        classes: The classes, where they are not in the data or not all are wanted.
        choices: What the person decides in place of the data and the machine.
        machine: What to plan for; None looks at this one.
        note: Called with lines about what was found.
        overwrite: Whether to replace a config that is there.

    Returns:
        The config's path.

    Raises:
        UserError: If data or arguments must be mended first. Nothing is written then.
    """
    choices = choices or Choices()
    check_arguments(task, out, classes, choices, overwrite)
    machine = machine or this_machine()
    files: dict[Path, str] = {}
    if task == 'classification':
        text = _classification(train, val, out, classes, choices, machine)
    elif task == 'segmentation':
        text = _segmentation(train, val, out, maps, classes, choices, machine)
    else:
        splits: list[Split] = []
        for path, folder, split in zip((train, val), images, ('train', 'val')):
            # Which classes there are, the training data say.
            known = classes or (_names(splits[0].content) if splits else ())
            part = _split(path, folder, split, task == 'instance', known, out, note)
            splits.append(part)
            if part.converted:
                files[Path(part.ann_file)] = json.dumps(part.content)
        text = _detection(task, splits, out, classes, choices, machine, note)
    _write_checked(files | {Path(out): text}, out, note)
    return Path(out)


def check_arguments(
    task: str, out: str, classes: Sequence[str], choices: Choices, overwrite: bool
) -> None:
    """Check what needs no look at the data.

    Raises:
        UserError: Naming the first argument that is wrong.
    """
    if task not in TASKS:
        raise UserError(f'task {task!r}: it is one of {", ".join(TASKS)}')
    if not out.endswith('.py'):
        raise UserError(f'--out {out}: a config is a Python file, {out}.py')
    if os.path.isdir(out):
        raise UserError(f'--out {out} is a folder')
    if os.path.exists(out) and not overwrite:
        raise UserError(f'--out {out} is there already; --overwrite replaces it')
    if len(set(classes)) < len(classes):
        twice = [name for name in classes if list(classes).count(name) > 1]
        raise UserError(f'--classes: {examples(sorted(set(twice)))} stands there twice')
    model, default = choices.model, DEFAULT_MODELS.get(task)
    if model is not None and default is None:
        raise UserError(f'--model {model}: detection and instance alone have a choice')
    names = (
        ['mask-rcnn'] if task == 'instance' else sorted(set(DETECTORS) - {'mask-rcnn'})
    )
    if model is not None and model not in names:
        raise UserError(f'--model {model}: for {task} it is one of {", ".join(names)}')
    if choices.width not in WIDTHS:
        raise UserError(
            f'--width {choices.width}: weights are published for '
            f'{", ".join(map(str, WIDTHS))}'
        )
    limits = dict(size=(32, 4096), batch=(1, 4096), epochs=(1, 100000))
    for name, (least, most) in limits.items():
        value = getattr(choices, name)
        if value is not None and not least <= value <= most:
            raise UserError(f'--{name} {value}: it goes from {least} to {most}')
    weights = choices.weights
    named = weights not in (None, 'none') and '://' not in str(weights)
    if named and not os.path.isfile(weights):
        raise UserError(
            f'--weights: there is no file {weights}{near_file(weights)}; '
            '--weights none starts from scratch'
        )


def _write_checked(
    files: Mapping[Path, str], out: str, note: Callable[[str], None]
) -> None:
    """Write files and run the checks of a training on the config among them.

    Raises:
        UserError: If there is something to mend; the files are then as they were.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in files}
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
        problems = preflight(
            Config.fromfile(out), ('train', 'val'), note=lambda line: None
        )
        _raise(problems, note)
    except BaseException:
        for path, content in before.items():
            if content is not None:
                path.write_bytes(content)
                continue
            path.unlink(missing_ok=True)
            if path.suffix == '.json' and not any(path.parent.iterdir()):
                path.parent.rmdir()
        raise


def _split(
    path: str,
    images: str | None,
    split: str,
    masks: bool,
    classes: Sequence[str],
    out: str,
    note: Callable[[str], None],
) -> Split:
    """Read one part of a detection data set; convert it where it is not COCO's form."""
    labels = find_labels(path, images, classes, split)
    if labels.form == 'coco':
        parsed: dict[str, Any] = {}
        _raise(load_coco(labels.source, f'--{split}', parsed), note)
        content, name = parsed[labels.source], labels.source
        _raise(check_coco(content, name, (), masks, test=split == 'val'), note)
        names = [str(image['file_name']) for image in content['images']]
        folder = coco_pictures(name, names, images)
        paths = [os.path.join(folder, picture) for picture in names]
        check_images(paths, images, name, split)
        _raise(wrong_sizes(content, folder, name), note)
        return Split(name, folder, content)
    check_images([picture for picture, _ in labels.files], images, path, split)
    content, problems = to_coco(labels, classes if labels.form == 'voc' else (), masks)
    others = [name for name in _names(content) if name not in classes]
    if classes and others and not content['annotations']:
        raise UserError(
            f'no object in {labels.source} is called {" or ".join(classes[:3])}'
            f'{near(classes[0], others, 1)}; there are {examples(others, 10)}'
        )
    _raise(problems, note)
    _raise(check_coco(content, labels.source, (), masks, split == 'val'), note)
    name = str(Path(out).with_suffix('')) + f'_data/{split}.json'
    note(
        f'{labels.source}: {len(content["annotations"])} {labels.form.upper()} labels of '
        f"{len(content['images'])} pictures go to {name}, in COCO's form"
    )
    return Split(name, labels.pictures, content, converted=True)


def _raise(problems: Sequence[Problem], note: Callable[[str], None]) -> None:
    raise_if_fatal(problems, lambda line: note(line.removeprefix('preflight: ')))


def _detection(
    task: str,
    splits: Sequence[Split],
    out: str,
    classes: Sequence[str],
    choices: Choices,
    machine: Machine,
    note: Callable[[str], None],
) -> str:
    train, val = splits
    for name in classes:
        for part in splits:
            known = _names(part.content)
            if name not in known:
                raise UserError(
                    f'--classes: {name} is no category of {part.ann_file}'
                    f'{near(name, known, 1)}; it has {examples(known, 10)}'
                )
    others = {name for part in splits for name in _names(part.content)} - set(classes)
    for name in classes:
        hint = near(name, others, 1)
        if hint and not any(
            count_objects(part.content, [name]).counts for part in splits
        ):
            raise UserError(f'--classes: no object is called {name}{hint}')
    if not classes:
        named = [str(category['name']) for category in train.content['categories']]
        present = {entry['category_id'] for entry in train.content['annotations']}
        classes = [
            name
            for name, category in zip(named, train.content['categories'])
            if category['id'] in present or len(named) == 1
        ]
        empty = [name for name in named if name not in classes]
        if empty:
            note(
                f'{train.ann_file}: no object of the classes {examples(empty)}: they are '
                'left out'
            )
    for part in splits:
        _raise(check_class_names(classes, _names(part.content), part.ann_file), note)
    for split, part in zip(('train', 'val'), splits):
        _raise(odd_objects(part.content, part.ann_file, classes, split), note)
    objects = count_objects(train.content, classes)
    detector = DETECTORS[choices.model or DEFAULT_MODELS[task]]
    masks = task == 'instance'
    light = choices.light if choices.light is not None else machine.gpus == 0
    largest = min(detector.batch, (4 if masks else 8) if light else detector.batch)
    plan = make_plan(
        machine, objects.pictures, objects.longest_side, largest, objects,
        light, choices.size, choices.batch, choices.epochs,
    )  # fmt: skip
    overrides, words = fitting_anchors(detector, plan, objects)
    iterations = plan.epochs * max(1, math.ceil(objects.pictures / plan.batch))
    base = detector.light if plan.light else detector.base
    text = detection_text(
        header=_header(
            f'{detector.title} with GhostNetV2 {choices.width}',
            f'{_count(classes)} in {train.ann_file} and {val.ann_file}',
            out, choices, machine,
            plan._replace(light=plan.light and detector.light != detector.base),
            [_words_of(objects, plan, val.content), words],
        ),
        bases=[
            base_path(f'_base_/models/{base}.py', out),
            base_path(f'_base_/datasets/coco_{task}.py', out),
            base_path('_base_/runtimes/detection.py', out),
        ],
        detector=detector,
        classes=classes,
        train=(_path(train.ann_file), _path(train.pictures) + '/'),
        val=(_path(val.ann_file), _path(val.pictures) + '/'),
        plan=plan,
        anchors=overrides,
        most_objects=max(objects.most_objects, count_objects(val.content, classes).most_objects),
        iterations=iterations,
        weights=choices.weights,
        masks=masks,
        widen=_other_width(base, choices),
    )  # fmt: skip
    return text


def _count(classes: Sequence[str]) -> str:
    return f'{len(classes)} class' + 'es' * (len(classes) != 1)


def _names(content: dict[str, list]) -> list[str]:
    return [str(category['name']) for category in content['categories']]


def _path(path: str) -> str:
    """A path as a config writes it."""
    return Path(os.path.normpath(path)).as_posix()


def _header(
    what: str,
    data: str,
    out: str,
    choices: Choices,
    machine: Machine,
    plan: Plan,
    more: Sequence[str],
) -> list[str]:
    start = {
        None: "the authors' ImageNet weights, fetched on first use",
        'none': 'random weights',
    }.get(choices.weights, choices.weights)
    name = Path(out).as_posix()
    return [
        f'{what} for {data}.',
        'Written by tools/dataset_tools/new_config.py; change what you like.',
        *[line for line in more if line],
        f'Planned for {machine}'
        + (', so with light heads' if plan.light else '')
        + '.',
        f'Starts from {start}.',
        f'  python tools/train.py {name}',
    ]


def _words_of(objects: Objects, plan: Plan, val: dict[str, list]) -> str:
    at_size = objects.boxes_at(plan.size)
    width, height = np.median(at_size, 0)
    return (
        f'{objects.pictures} pictures with {len(at_size)} objects to train on, '
        f'{len(val["images"])} to validate on. Seen at {plan.size} px, where the middle '
        f'object is {width:.0f}x{height:.0f} px.'
    )


def fitting_anchors(detector: Any, plan: Plan, objects: Objects) -> tuple[dict, str]:
    """Find anchors for the boxes where a detector's own fit clearly worse.

    Args:
        detector: One of ``DETECTORS``.
        plan: With the input size.
        objects: The boxes.

    Returns:
        What to override below ``model``, and a line for the person.
    """
    boxes = objects.boxes_at(plan.size)
    if not detector.anchors:
        return {}, ''
    if detector.anchors == 'shapes':
        if len(boxes) < 9:
            return {}, ''
        shapes = anchor_shapes.cluster(boxes)
        sizes = [
            tuple(max(2, round(float(side))) for side in shape) for shape in shapes
        ]
        levels = [sizes[6:], sizes[3:6], sizes[:3]]  # the deepest level first
        share = anchor_shapes.matched(boxes, np.array(sizes, float))
        words = f'Anchors are clustered from the boxes and match {share:.0%} of them.'
        return dict(bbox_head=dict(anchor_generator=dict(base_sizes=levels))), words
    strides = detector.strides[plan.light]
    retina = detector.anchors == 'octaves'
    default, octaves = (4, 3) if retina else (8, 1)
    scale, share, usual = anchor_shapes.best_scale(boxes, strides, default, octaves)
    words = f'Anchors match the shape of {share:.0%} of the boxes'
    if scale == default:
        return {}, words + '.'
    words += f' (IoU 0.5), those of the base {usual:.0%}.'
    if retina:
        return dict(
            bbox_head=dict(anchor_generator=dict(octave_base_scale=scale))
        ), words
    overrides: dict[str, Any] = dict(
        rpn_head=dict(anchor_generator=dict(scales=[scale]))
    )
    if scale < default:
        # RoIs go to the levels that their anchors are on.
        finest = dict(finest_scale=max(4, round(56 * scale / default)))
        parts = ['bbox_roi_extractor']
        parts += ['mask_roi_extractor'] * ('roi_head.mask_head' in detector.heads)
        overrides['roi_head'] = dict.fromkeys(parts, finest)
    return overrides, words


def _other_width(base: str, choices: Choices) -> dict[str, Any]:
    """What another width changes in a base of width 1.0."""
    if choices.width == 1.0:
        return {}
    from ...models import GhostNetV2

    model = Config.fromfile(base_path(f'_base_/models/{base}.py', '/x.py')).model
    indices = model.backbone.out_indices
    channels = list(GhostNetV2(choices.width, out_indices=indices).out_channels)
    if model.neck.type == 'YOLOV3Neck':
        channels = channels[::-1]
    backbone: dict[str, Any] = dict(widen_factor=choices.width)
    if choices.weights is None:
        url = model.backbone.init_cfg.checkpoint
        digits = str(choices.width).replace('.', '')
        backbone['init_cfg'] = dict(checkpoint=url.replace('_10.', f'_{digits}.'))
    return dict(backbone=backbone, neck=dict(in_channels=channels))


def _classification(
    train: str,
    val: str,
    out: str,
    classes: Sequence[str],
    choices: Choices,
    machine: Machine,
) -> str:
    folders = {
        split: find_class_folders(path, split)
        for split, path in (('train', train), ('val', val))
    }
    only = sorted(set(folders['train']) ^ set(folders['val']))
    if only:
        where = {name: 'train' if name in folders['train'] else 'val' for name in only}
        raise UserError(
            f'class folders differ: {examples([f"{n} (only in {where[n]})" for n in only])}: '
            'labels follow the sorted names, so both must have the same folders'
        )
    names = folders['train']
    if classes and sorted(classes) != names:
        raise UserError(
            f'--classes {examples(list(classes))}: for classification they are the '
            f'folders, {examples(names)}: leave --classes out'
        )
    if len(names) < 2:
        raise UserError(
            f'--train {train} has one class folder, {names[0]}: nothing to tell apart'
        )
    pictures = {
        name: list_images(os.path.join(train, name), SUFFIXES) for name in names
    }
    empty = [name for name, members in pictures.items() if not members]
    if empty:
        raise UserError(
            f'--train {train}: no picture of the classes {examples(empty)}: put some '
            'there, or remove the folders from both parts'
        )
    every = [path for members in pictures.values() for path in members]
    sizes = [
        size for size in map(image_size, every[:: max(1, len(every) // 200)]) if size
    ]
    side = (
        round(float(np.quantile([min(size) for size in sizes], 0.5))) if sizes else 224
    )
    plan = make_plan(
        machine, len(every), max(32, side // 32 * 32), 32 if machine.gpus == 0 else 128,
        None, choices.light, choices.size, choices.batch, choices.epochs, base_size=224,
    )  # fmt: skip
    wide = f'classification/ghostnetv2-{choices.width}_finetune.py'
    least = min(pictures.items(), key=lambda item: len(item[1]))
    return classification_text(
        header=_header(
            f'GhostNetV2 {choices.width}', f'{_count(names)} in {train} and {val}',
            out, choices, machine, plan._replace(light=False),
            [
                f'{len(every)} pictures to train on, {len(least[1])} of the rarest class, '
                f'{least[0]}. Seen at {plan.size} px; the middle one is {side} px wide or '
                'high.'
            ],
        ),
        base=base_path(wide, out),
        classes=names,
        train=_path(train),
        val=_path(val),
        plan=plan,
        iterations=plan.epochs * max(1, len(every) // plan.batch),
        weights=choices.weights,
    )  # fmt: skip


def _segmentation(
    train: str,
    val: str,
    out: str,
    maps: Sequence[str | None],
    classes: Sequence[str],
    choices: Choices,
    machine: Machine,
) -> str:
    found = [
        find_maps(path, folder, split)
        for path, folder, split in zip((train, val), maps, ('train', 'val'))
    ]
    if found[0][2:] != found[1][2:]:
        raise UserError(
            f'--train has *{found[0][2]} and *{found[0][3]}, --val *{found[1][2]} and '
            f'*{found[1][3]}: mmseg reads one kind in both'
        )
    if choices.width != 1.0:
        raise UserError('--width: for segmentation change widen_factor in the config')
    classes = list(classes) or list(classes_near(found[0][1]))
    if not classes:
        raise UserError(
            'label maps hold numbers: name the classes with --classes, the one of 0 '
            'first, or in a classes.txt beside the folders of the maps'
        )
    pictures = list_images(train, SUFFIXES)
    sizes = [
        size
        for size in map(image_size, pictures[:: max(1, len(pictures) // 200)])
        if size
    ]
    longest = round(float(np.quantile([max(s) for s in sizes], 0.9))) if sizes else 512
    light = choices.light if choices.light is not None else machine.gpus == 0
    plan = make_plan(
        machine, len(pictures), longest, 4 if light else 16, None, light, choices.size,
        choices.batch, choices.epochs, base_size=192 if light else 512,
    )  # fmt: skip
    scale = min(longest, 512 if light else 2048)
    iterations = plan.epochs * max(1, math.ceil(len(pictures) / plan.batch))
    return segmentation_text(
        header=_header(
            'DeepLabV3+ with GhostNetV2 1.0', f'{_count(classes)} in {train} and {val}',
            out, choices, machine, plan,
            [
                f'{len(pictures)} pictures to train on, resized to {scale} px, times 0.75 '
                f'to 1.5, and cropped to {plan.size} px.'
            ],
        ),
        bases=[
            base_path('_base_/models/deeplabv3plus_ghostnetv2.py', out),
            base_path('_base_/runtimes/segmentation.py', out),
        ],
        classes=classes,
        data=dict(img_suffix=found[0][2], seg_map_suffix=found[0][3]),
        train=(_path(train), _path(found[0][1])),
        val=(_path(val), _path(found[1][1])),
        plan=plan,
        scale=scale,
        iterations=iterations,
        weights=choices.weights,
    )  # fmt: skip
