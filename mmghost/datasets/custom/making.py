"""Look at the user's data, plan a training, write its config, and check it."""

import colorsys
import json
import math
import os
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from mmengine.config import Config

from ...checks import Problem, preflight, raise_if_fatal
from ...checks.images import image_size, is_hidden, list_images
from ...checks.problems import near_file
from ...errors import UserError, did_you_mean, examples
from ...models import GhostNetV2
from .finding import read_classes
from .label_maps import check_values, convert_maps, find_pairs
from .labels import Annotations, read_labels
from .planning import (
    Choices,
    Machine,
    Objects,
    Plan,
    anchor_grid,
    best_scale,
    cluster,
    make_plan,
    matched,
    usual_side,
)

TASKS = ('detection', 'instance', 'segmentation', 'classification')
WIDTHS = (1.0, 1.3, 1.6)
Note = Callable[[str], None]


class Detector(NamedTuple):
    """What a config for a detector needs to know.

    Attributes:
        title: Its name.
        base: Its model in ``configs/_base_/models``, without suffix.
        light: The model with light heads, for machines without a GPU.
        optimizer: Of its recipe.
        recipe_batch: Batch size that the learning rate is for.
        batch: The largest batch on one GPU.
        strides: Of the anchors, for GPUs and with light heads, if they have a scale.
        scale: The anchors' scale, in strides.
        octaves: Anchors in each octave.
    """

    title: str
    base: str
    light: str
    optimizer: dict[str, Any]
    recipe_batch: int
    batch: int = 16
    strides: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    scale: int = 8
    octaves: int = 1


# fmt: off
_SGD = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001)
_FPN = ((4, 8, 16, 32, 64),) * 2
DETECTORS = {
    'retinanet': Detector(
        'RetinaNet', 'retinanet_ghostnetv2_fpn', 'retinanet_ghostnetv2_light',
        _SGD | dict(lr=0.01), 16, 16, ((8, 16, 32, 64, 128), (8, 16, 32)), 4, 3),
    'faster-rcnn': Detector(
        'Faster R-CNN', 'faster-rcnn_ghostnetv2_fpn', 'faster-rcnn_ghostnetv2_fpn',
        _SGD, 16, 16, _FPN),
    'mask-rcnn': Detector(
        'Mask R-CNN', 'mask-rcnn_ghostnetv2_fpn', 'mask-rcnn_ghostnetv2_light',
        _SGD, 16, 16, _FPN),
    'yolov3': Detector(
        'YOLOv3', 'yolov3_ghostnetv2', 'yolov3_ghostnetv2',
        _SGD | dict(lr=0.003, weight_decay=0.0005), 64, 32),
    'rtmdet': Detector(
        'RTMDet', 'rtmdet_ghostnetv2', 'rtmdet_ghostnetv2',
        dict(type='AdamW', lr=0.004, weight_decay=0.05), 256, 32),
}
# fmt: on
# Learning rate of AdamW for light heads and 8 images, from scratch and from weights.
_LIGHT_LR = {True: 0.002, False: 0.0005}


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
    note: Note = print,
    overwrite: bool = False,
) -> Path:
    """Write a config that trains on a user's data as they are.

    Args:
        task: One of ``TASKS``.
        train: The training data: labels as :func:`~.finding.find_labels` takes them, a
            folder of images (segmentation) or of class folders (classification).
        val: The validation data.
        out: Path of the config. What must be converted goes to a folder beside it.
        images: Folders of the training and validation images, if they are not at one
            of the usual places.
        maps: The same of the label maps, for segmentation.
        classes: The classes, if the data do not name them or not all are wanted.
        choices: What the user chooses instead of the data and the machine.
        machine: What to plan for; default: this one.
        note: Called with lines about what was found.
        overwrite: Whether to replace an existing config.

    Returns:
        Path of the config.

    Raises:
        UserError: If data or arguments must be fixed first. Nothing is written then.
    """
    choices = choices or Choices()
    _check_arguments(task, out, classes, choices, overwrite)
    machine = machine or Machine.this()
    converted = Path(out).with_suffix('').with_name(Path(out).stem + '_data')
    existed = {path for path in (converted, Path(out)) if path.exists()}
    before = Path(out).read_bytes() if os.path.exists(out) else None
    try:
        if task == 'classification':
            text = _classification(train, val, out, classes, choices, machine)
        elif task == 'segmentation':
            text = _segmentation(
                train, val, out, maps, classes, choices, machine, converted
            )
        else:
            text = _detection(
                task,
                (train, val),
                out,
                images,
                classes,
                choices,
                machine,
                converted,
                note,
            )
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(text, encoding='utf-8')
        found = preflight(
            Config.fromfile(out), ('train', 'val'), note=lambda line: None
        )
        _raise(found, note)
    except BaseException:
        if converted not in existed:
            shutil.rmtree(converted, ignore_errors=True)
        if before is not None:
            Path(out).write_bytes(before)
        else:
            Path(out).unlink(missing_ok=True)
        raise
    return Path(out)


def _raise(problems: Sequence[Problem], note: Note) -> None:
    raise_if_fatal(problems, lambda line: note(line.removeprefix('preflight: ')))


def _check_arguments(
    task: str, out: str, classes: Sequence[str], choices: Choices, overwrite: bool
) -> None:
    if task not in TASKS:
        raise UserError(f'task {task!r}: must be one of {", ".join(TASKS)}')
    if not out.endswith('.py') or os.path.isdir(out):
        raise UserError(f'--out {out}: a config is a Python file, such as {out}.py')
    if os.path.exists(out) and not overwrite:
        raise UserError(f'--out {out} exists; --overwrite replaces it')
    if twice := sorted({name for name in classes if list(classes).count(name) > 1}):
        raise UserError(f'--classes: {examples(twice)} is there twice')
    models = {
        'detection': sorted({*DETECTORS} - {'mask-rcnn'}),
        'instance': ['mask-rcnn'],
    }
    if choices.model is not None and choices.model not in models.get(task, ()):
        known = ', '.join(models.get(task, ())) or 'not a choice'
        raise UserError(f'--model {choices.model}: for {task} it is {known}')
    if choices.width not in WIDTHS:
        raise UserError(f'--width {choices.width}: must be one of {WIDTHS}')
    limits = dict(size=(32, 4096), batch=(1, 4096), epochs=(1, 100_000))
    for name, (least, most) in limits.items():
        value = getattr(choices, name)
        if value is not None and not least <= value <= most:
            raise UserError(f'--{name} {value}: must be in {least} to {most}')
    weights = choices.weights
    if (
        weights
        and weights != 'none'
        and '://' not in weights
        and not os.path.isfile(weights)
    ):
        raise UserError(
            f'--weights: there is no file {weights}{near_file(weights)}; '
            '--weights none starts from scratch'
        )


# -- detection and instance segmentation -------------------------------------------------


def _detection(
    task: str,
    paths: Sequence[str],
    out: str,
    images: Sequence[str | None],
    classes: Sequence[str],
    choices: Choices,
    machine: Machine,
    converted: Path,
    note: Note,
) -> str:
    masks = task == 'instance'
    parts: list[Annotations] = []
    for path, folder, split in zip(paths, images, ('train', 'val')):
        # The training data decide which classes there are.
        known = classes or (parts[0].names if parts else ())
        target = (converted / f'{split}.json').as_posix()
        parts.append(read_labels(path, folder, known, split, masks, target))
    train, val = parts
    classes = _classes(parts, classes, note)
    for part, path in zip(parts, paths):
        if part.changed:
            content = part.content
            note(
                f'{path}: {len(content["annotations"])} objects in '
                f"{len(content['images'])} images are written to {part.ann_file}, in COCO's "
                'form'
            )
            converted.mkdir(parents=True, exist_ok=True)
            Path(part.ann_file).write_text(json.dumps(content), encoding='utf-8')
    objects = Objects.of(train.content, classes)
    name = choices.model or ('mask-rcnn' if masks else 'retinanet')
    detector = DETECTORS[name]
    light = machine.gpus == 0 if choices.light is None else choices.light
    largest = min(detector.batch, 4 if masks else 8) if light else detector.batch
    side = usual_side(objects.sizes.max(1))
    plan = make_plan(choices, machine, len(objects.sizes), side, largest, objects)
    has_light = detector.light != detector.base
    base = detector.light if plan.light else detector.base
    optimizer = dict(detector.optimizer)
    optimizer['lr'] = _rounded(optimizer['lr'] * plan.batch / detector.recipe_batch)
    if plan.light and has_light:
        optimizer = _light_optimizer(choices, plan.batch / 8)
    anchors, words = _anchors(name, detector, plan, objects)
    most = max(objects.most, Objects.of(val.content, classes).most)
    width, height = np.median(objects.boxes_at(plan.size), 0)
    return _render(
        'detection',
        out,
        header=_header(
            f'{detector.title} with GhostNetV2 {choices.width}', classes,
            f'{train.ann_file} and {val.ann_file}', out, choices, machine,
            plan.light and has_light,
            f'{len(objects.sizes)} training images with {len(objects.boxes)} objects, '
            f'{len(val.content["images"])} validation images. Seen at {plan.size} px, '
            f'where the median object is {width:.0f}x{height:.0f} px.',
            words,
        ),
        base=base,
        model=name,
        masks=masks,
        classes=tuple(classes),
        plan=plan,
        choices=choices,
        frozen='fpn' in base,
        optimizer=optimizer,
        train=train,
        val=val,
        max_per_img=math.ceil(most * 1.25 / 100) * 100 if most > 100 else None,
        **anchors,
        **_other_width(base, out, choices),
    )  # fmt: skip


def _classes(
    parts: Sequence[Annotations], chosen: Sequence[str], note: Note
) -> list[str]:
    """Return the classes to train: those chosen, or all that have objects."""
    train = parts[0]
    present = Objects.of(train.content, train.names).counts
    classes = list(chosen) or [
        n for n in train.names if present[n] or len(train.names) == 1
    ]
    if empty := [name for name in train.names if name not in classes and not chosen]:
        note(f'{train.ann_file}: no object of {examples(empty)}: left out')
    for part, split in zip(parts, ('train', 'val')):
        counts = Objects.of(part.content, part.names).counts
        for name in classes:
            if name not in part.names:
                raise UserError(
                    f'{part.ann_file} has no category {name}'
                    f'{did_you_mean(name, part.names, 1)}; it has {examples(part.names, 10)}'
                    f'{" (--classes)" if chosen else ""}'
                )
        empty = [name for name in classes if not counts[name]]
        if empty and split == 'train':
            others = [name for name in part.names if counts[name]]
            raise UserError(
                f'{part.ann_file} has no object of {examples(empty)}'
                f'{did_you_mean(empty[0], others, 1)}: these classes cannot be learned: '
                'leave them out with --classes'
            )
        if empty:
            note(
                f'{part.ann_file}: no object of {examples(empty)}: their AP will be -1'
            )
        seen = {entry['image_id'] for entry in part.content['annotations']}
        bare = [i['file_name'] for i in part.content['images'] if i['id'] not in seen]
        if bare:
            note(
                f'{part.ann_file}: {len(bare)} images have no object: {examples(bare)}: '
                + ('left out, unless --keep-empty' if split == 'train' else 'all that is '
                   'found in them counts as wrong')
            )  # fmt: skip
    return classes


def _anchors(
    name: str, detector: Detector, plan: Plan, objects: Objects
) -> tuple[dict[str, Any], str]:
    """Return anchors for the boxes if the base's fit clearly worse, and a comment."""
    boxes = objects.boxes_at(plan.size)
    if name == 'yolov3' and len(boxes) >= 9:
        sizes = [
            tuple(max(2, round(side)) for side in box)
            for box in cluster(boxes).tolist()
        ]
        share = matched(boxes, np.array(sizes, float))
        words = f'Anchors are clustered from the boxes and match {share:.0%} of them.'
        return dict(base_sizes=[sizes[6:], sizes[3:6], sizes[:3]]), words
    strides = detector.strides[plan.light]
    if not strides:
        return {}, ''
    scale = best_scale(boxes, strides, detector.scale, detector.octaves)
    share, usual = (
        matched(boxes, anchor_grid(strides, each, detector.octaves))
        for each in (scale, detector.scale)
    )
    if scale == detector.scale:
        return {}, f'Anchors match the shape of {share:.0%} of the boxes.'
    words = (
        f"Anchors match the shape of {share:.0%} of the boxes, the base's {usual:.0%}."
    )
    # RoIs go to the levels that their anchors are on.
    finest = (
        max(4, round(56 * scale / detector.scale)) if scale < detector.scale else None
    )
    return dict(scale=scale, finest_scale=finest), words


def _other_width(base: str, out: str, choices: Choices) -> dict[str, Any]:
    """Return what another width changes in a base model of width 1.0."""
    if choices.width == 1.0:
        return {}
    model = Config.fromfile(configs_folder() / f'_base_/models/{base}.py').model
    indices = model.backbone.out_indices
    channels = list(GhostNetV2(choices.width, out_indices=indices).out_channels)
    digits = f'_{choices.width}.'.replace('.', '', 1)
    checkpoint = model.backbone.init_cfg.checkpoint.replace('_10.', digits)
    return dict(
        channels=channels[::-1] if model.neck.type == 'YOLOV3Neck' else channels,
        checkpoint=checkpoint,
    )


# -- segmentation and classification -----------------------------------------------------


def _segmentation(
    train: str,
    val: str,
    out: str,
    maps: Sequence[str | None],
    classes: Sequence[str],
    choices: Choices,
    machine: Machine,
    converted: Path,
) -> str:
    if choices.width != 1.0:
        raise UserError('--width: for segmentation change widen_factor in the config')
    pairs = [
        find_pairs(path, folder, split, choices.map_suffix)
        for path, folder, split in zip((train, val), maps, ('train', 'val'))
    ]
    kinds = [(each.image_suffix, each.map_suffix) for each in pairs]
    if kinds[0] != kinds[1]:
        raise UserError(
            f'--train has *{kinds[0][0]} and *{kinds[0][1]}, --val *{kinds[1][0]} and '
            f'*{kinds[1][1]}: mmseg reads one kind in both'
        )
    classes = list(classes) or list(read_classes(pairs[0].maps))
    if not classes:
        raise UserError(
            'label maps have numbers: name the classes with --classes, that of 0 first, or '
            'in a classes.txt beside the folders of the maps'
        )
    ignored = list(choices.ignore_label)
    if choices.label_values:
        if len(choices.label_values) != len(classes):
            raise UserError(
                f'--label-values: {len(choices.label_values)} values for {len(classes)} '
                f'classes ({examples(classes)}): give one for each, in the same order'
            )
        pairs = [
            convert_maps(each, choices.label_values, ignored, converted / split)
            for each, split in zip(pairs, ('train', 'val'))
        ]
        ignored = []
    elif len(ignored) > 1 or any(
        isinstance(value, tuple) or 0 < value < len(classes) for value in ignored
    ):
        raise UserError(
            f'--ignore-label: the values 0 to {len(classes) - 1} are the {len(classes)} '
            'classes; if others are, give them with --label-values'
        )
    else:
        for each in pairs:
            check_values(each, classes, ignored)
    sizes = _sizes([f'{train}/{name}{kinds[0][0]}' for name in pairs[0].names])
    longest = usual_side([max(size) for size in sizes]) if sizes else 512
    light = machine.gpus == 0 if choices.light is None else choices.light
    count = len(pairs[0].names)
    plan = make_plan(
        choices,
        machine,
        count,
        longest,
        4 if light else 16,
        None,
        192 if light else 512,
    )
    scale = min(longest, 512 if light else 2048)
    dilations = (1, 6, 12, 18)
    while max(dilations) * 16 >= plan.size and max(dilations) > 1:
        dilations = tuple(max(1, dilation // 2) for dilation in dilations)
    optimizer = dict(type='SGD', lr=_rounded(0.01 * plan.batch / 16), momentum=0.9)
    optimizer['weight_decay'] = 0.0005
    return _render(
        'segmentation',
        out,
        header=_header(
            'DeepLabV3+ with GhostNetV2 1.0', classes, f'{train} and {val}', out, choices,
            machine, plan.light,
            f'{count} training images, resized to {scale} px, times 0.75 to 1.5, and '
            f'cropped to {plan.size} px.',
        ),
        classes=tuple(classes),
        palette=_palette(classes, choices),
        plan=plan,
        choices=choices,
        scale=scale,
        dilations=tuple(dict.fromkeys(dilations)),
        iterations=plan.epochs * plan.per_epoch,
        optimizer=_light_optimizer(choices, plan.batch / 4) if plan.light else optimizer,
        train=pairs[0],
        val=pairs[1],
        # 0 as the ignored value moves the others down: mmseg has an option for it.
        reduce_zero_label=ignored == [0],
        ignore_index=next((value for value in ignored if value not in (0, 255)), None),
    )  # fmt: skip


def _palette(classes: Sequence[str], choices: Choices) -> list[list[int]]:
    """Return colors to draw the classes in: those of the label maps, or black and hues."""
    given = choices.label_values
    if given and all(isinstance(value, tuple) for value in given):
        return [list(value) for value in given]
    hues = [
        colorsys.hsv_to_rgb(i * 0.381966 % 1, 0.75, 1) for i in range(len(classes) - 1)
    ]
    return [[0, 0, 0], *([round(255 * part) for part in hue] for hue in hues)]


def _classification(
    train: str,
    val: str,
    out: str,
    classes: Sequence[str],
    choices: Choices,
    machine: Machine,
) -> str:
    folders = {}
    for split, path in (('train', train), ('val', val)):
        if not os.path.isdir(path):
            raise UserError(
                f'--{split} {path}: there is no such folder{near_file(path)}'
            )
        folders[split] = sorted(e.name for e in os.scandir(path) if e.is_dir())
        if hidden := [os.path.join(path, n) for n in folders[split] if is_hidden(n)]:
            raise UserError(
                f'{examples(hidden)}: mmpretrain takes it for a class: remove it: '
                f'rm -r {" ".join(hidden)}'
            )
    names = folders['train']
    if only := sorted(set(names) ^ set(folders['val'])):
        where = [f'{n} (only in {"train" if n in names else "val"})' for n in only]
        raise UserError(
            f'class folders differ: {examples(where)}: labels follow the sorted names, so '
            'both must have the same folders'
        )
    if classes and sorted(classes) != names:
        raise UserError(
            f'--classes {examples(classes)}: for classification the classes are the '
            f'folders, {examples(names)}: leave --classes out'
        )
    if len(names) < 2:
        raise UserError(f'--train {train}: put the images of each class into a folder')
    members = {name: list_images(os.path.join(train, name)) for name in names}
    if empty := [name for name, found in members.items() if not found]:
        raise UserError(
            f'--train {train}: no image of {examples(empty)}: add some, or remove the '
            'folders from both parts'
        )
    every = [path for found in members.values() for path in found]
    sizes = _sizes(every)
    side = round(float(np.median([min(size) for size in sizes]))) if sizes else 224
    plan = make_plan(
        choices, machine, len(every), max(32, side // 32 * 32),
        128 if machine.gpus else 32, None, 224,
    )  # fmt: skip
    rarest = min(members, key=lambda name: len(members[name]))
    lr = (2e-3 if choices.weights == 'none' else 5e-4) * plan.batch / 32
    return _render(
        'classification',
        out,
        header=_header(
            f'GhostNetV2 {choices.width}', names, f'{train} and {val}', out, choices,
            machine, False,
            f'{len(every)} training images, {len(members[rarest])} of the rarest class, '
            f'{rarest}. Seen at {plan.size} px; the median image is {side} px wide or high.',
        ),
        classes=tuple(names),
        plan=plan,
        choices=choices,
        lr=_rounded(lr),
        train=train,
        val=val,
    )  # fmt: skip


def _sizes(images: Sequence[str]) -> list[tuple[int, int]]:
    """Return height and width of at most some 200 images."""
    sample = map(image_size, images[:: max(1, len(images) // 200)])
    return [size for size in sample if size]


# -- text --------------------------------------------------------------------------------


def configs_folder() -> Path:
    """Return the folder of mmghost's configs: beside the package, or in an installed one."""
    package = Path(__file__).resolve().parents[2]
    beside = package.parent / 'configs'
    return beside if (beside / '_base_').is_dir() else package / '.mim' / 'configs'


def _rounded(lr: float) -> float:
    return float(f'{lr:.2g}')


def _light_optimizer(choices: Choices, batches: float) -> dict[str, Any]:
    lr = _rounded(_LIGHT_LR[choices.weights == 'none'] * batches)
    return dict(type='AdamW', lr=lr, weight_decay=0.05)


def _header(
    what: str,
    classes: Sequence[str],
    data: str,
    out: str,
    choices: Choices,
    machine: Machine,
    light: bool,
    *more: str,
) -> list[str]:
    start = {
        None: "the authors' ImageNet weights, fetched on first use",
        'none': 'random weights',
    }.get(choices.weights, choices.weights)
    count = f'{len(classes)} class{"es" * (len(classes) != 1)}'
    return [
        f'{what} for {count} in {data}.',
        'Written by tools/dataset_tools/new_config.py; change what you like.',
        *filter(None, more),
        f'Planned for {machine}{", so with light heads" * light}.',
        f'Starts from {start}.',
        f'  python tools/train.py {Path(out).as_posix()}',
    ]


def _render(name: str, out: str, header: Sequence[str], **values: Any) -> str:
    """Fill a template with values."""
    folder = Path(out).resolve().parent

    def base_path(base: str) -> str:
        path = configs_folder() / base
        if not folder.is_relative_to(configs_folder().parent):
            return path.as_posix()
        text = Path(os.path.relpath(path, folder)).as_posix()
        return text if text.startswith('.') else f'./{text}'

    lines = [
        textwrap.fill(line, 88, initial_indent='# ', subsequent_indent='#   ')
        for line in header
    ]
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters['py'] = repr
    env.filters['path'] = lambda path: repr(Path(os.path.normpath(path)).as_posix())
    env.filters['folder'] = lambda path: repr(
        Path(os.path.normpath(path)).as_posix() + '/'
    )
    env.filters['kwargs'] = lambda each: ', '.join(
        f'{k}={v!r}' for k, v in each.items()
    )
    template = env.get_template(f'{name}.py.tmpl')
    return template.render(header='\n'.join(lines), base_path=base_path, **values)
