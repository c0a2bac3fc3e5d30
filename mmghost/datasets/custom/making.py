"""Look at the user's data, plan a training, write its config, and check it."""

import colorsys
import itertools
import json
import os
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from mmengine.config import Config

from ...checks import preflight, raise_if_fatal
from ...checks.images import image_size, is_hidden, list_images
from ...checks.problems import near_file
from ...errors import UserError, did_you_mean, examples
from ...models import GhostNetV2
from .finding import read_classes
from .label_maps import check_values, convert_maps, find_pairs
from .labels import read_labels
from .planning import (
    Choices,
    Machine,
    Objects,
    Plan,
    fit_anchors,
    make_plan,
    usual_side,
)

TASKS = ('detection', 'instance', 'segmentation', 'classification')
WIDTHS = (1.0, 1.3, 1.6)
SPLITS = ('train', 'val')


class Detector(NamedTuple):
    """The recipe of a detector: learning rate for a batch, largest batch on one GPU."""

    title: str
    base: str
    light: str
    lr: float
    recipe_batch: int
    batch: int


DETECTORS = {
    name: Detector(
        title, f'{name}_ghostnetv2{base}', f'{name}_ghostnetv2{light}', *recipe
    )
    for name, title, base, light, *recipe in (
        ('retinanet', 'RetinaNet', '_fpn', '_light', 0.01, 16, 16),
        ('faster-rcnn', 'Faster R-CNN', '_fpn', '_fpn', 0.02, 16, 16),
        ('mask-rcnn', 'Mask R-CNN', '_fpn', '_light', 0.02, 16, 16),
        ('yolov3', 'YOLOv3', '', '', 0.003, 64, 32),
        ('rtmdet', 'RTMDet', '', '', 0.004, 256, 32),
    )
}
# Learning rate of AdamW for small batches and light heads, from scratch or weights.
_LIGHT_LR = {True: 0.002, False: 0.0005}


@dataclass(frozen=True)
class _Job:
    task: str
    paths: Sequence[str]  # of the training and the validation data
    out: Path
    images: Sequence[str | None]
    maps: Sequence[str | None]
    classes: Sequence[str]
    choices: Choices
    machine: Machine
    note: Callable[[str], None]

    @property
    def data(self) -> Path:
        """Folder of converted labels."""
        return self.out.with_name(f'{self.out.stem}_data')

    @property
    def light(self) -> bool:
        """Whether to take the light heads."""
        light = self.choices.light
        return self.machine.gpus == 0 if light is None else light

    @property
    def scratch(self) -> bool:
        """Whether the backbone starts from random weights."""
        return self.choices.weights == 'none'


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
        machine: What to plan for. Default: this one.
        note: Called with lines about what was found.
        overwrite: Whether to replace an existing config.

    Returns:
        Path of the config.

    Raises:
        UserError: If data or arguments must be fixed first. Nothing is written then.
    """
    job = _Job(
        task, (train, val), Path(out), images, maps, classes, choices or Choices(),
        machine or Machine.this(), note,
    )  # fmt: skip
    _check_arguments(job, overwrite)
    write = {'segmentation': _segmentation, 'classification': _classification}
    before = job.out.read_bytes() if job.out.exists() else None
    is_new = not job.data.exists()
    try:
        text = write.get(task, _detection)(job)
        job.out.parent.mkdir(parents=True, exist_ok=True)
        job.out.write_text(text, encoding='utf-8')
        problems = preflight(Config.fromfile(out), SPLITS, note=lambda line: None)
        raise_if_fatal(problems, lambda line: note(line.removeprefix('preflight: ')))
    except BaseException:
        if is_new:
            shutil.rmtree(job.data, ignore_errors=True)
        job.out.unlink(missing_ok=True)
        if before is not None:
            job.out.write_bytes(before)
        raise
    return job.out


def _check_arguments(job: _Job, overwrite: bool) -> None:
    choices, out = job.choices, job.out
    if job.task not in TASKS:
        raise UserError(f'task {job.task!r}: must be one of {", ".join(TASKS)}')
    if out.suffix != '.py' or out.is_dir():
        raise UserError(f'--out {out}: a config is a Python file, such as {out}.py')
    if out.exists() and not overwrite:
        raise UserError(f'--out {out} exists; --overwrite replaces it')
    if twice := sorted({n for n in job.classes if list(job.classes).count(n) > 1}):
        raise UserError(f'--classes: {examples(twice)} is there twice')
    known = {
        'instance': ['mask-rcnn'],
        'detection': sorted({*DETECTORS} - {'mask-rcnn'}),
    }
    models = known.get(job.task, [])
    if choices.model and choices.model not in models:
        allowed = (
            f'must be one of {", ".join(models)}' if models else 'cannot be chosen'
        )
        raise UserError(f'--model {choices.model}: for {job.task} it {allowed}')
    if choices.width not in WIDTHS:
        raise UserError(f'--width {choices.width}: must be one of {WIDTHS}')
    for name, least, most in (
        ('size', 32, 4096),
        ('batch', 1, 4096),
        ('epochs', 1, 10**5),
    ):
        if not least <= (getattr(choices, name) or least) <= most:
            raise UserError(
                f'--{name} {getattr(choices, name)}: must be in {least} to {most}'
            )
    for value in (*choices.label_values, *choices.ignore_label):
        if not re.fullmatch(r'\d+(,\d+,\d+)?', value):
            raise UserError(
                f'{value}: label maps have numbers or colors (RED,GREEN,BLUE)'
            )
    weights = choices.weights or 'none'
    if weights != 'none' and '://' not in weights and not os.path.isfile(weights):
        raise UserError(
            f'--weights: there is no file {weights}{near_file(weights)}; '
            '--weights none starts from scratch'
        )


def _detection(job: _Job) -> str:
    masks = job.task == 'instance'
    train, val = parts = read_labels(
        job.paths, job.images, job.classes, masks, job.data
    )
    classes = _classes(job, parts)
    for part in parts:
        if part.changed:
            job.note(
                f'{part.source}: {len(part.content["annotations"])} objects in '
                f'{len(part.content["images"])} images go to {part.ann_file}, in COCO format'
            )
            job.data.mkdir(parents=True, exist_ok=True)
            Path(part.ann_file).write_text(json.dumps(part.content), encoding='utf-8')
    choices, objects = job.choices, Objects.of(train.content, classes)
    name = choices.model or ('mask-rcnn' if masks else 'retinanet')
    detector = DETECTORS[name]
    has_light = job.light and detector.light != detector.base
    base = detector.light if job.light else detector.base
    largest = min(detector.batch, 4 if masks else 8) if job.light else detector.batch
    side = usual_side(objects.sizes.max(1))
    plan = make_plan(choices, job.machine, len(objects.sizes), side, largest, objects)
    model = Config.fromfile(configs_folder() / f'_base_/models/{base}.py').model
    anchors, words = fit_anchors(model, objects.boxes_at(plan.size))
    if choices.width != 1:
        wide = GhostNetV2(choices.width, out_indices=model.backbone.out_indices)
        step = -1 if model.neck.type == 'YOLOV3Neck' else 1
        digits = f'_{round(choices.width * 10)}.'
        anchors['channels'] = list(wide.out_channels)[::step]
        anchors['released'] = model.backbone.init_cfg.checkpoint.replace('_10.', digits)
    most = max(objects.most, Objects.of(val.content, classes).most)
    width, height = np.median(objects.boxes_at(plan.size), 0)
    lr = detector.lr * plan.batch / detector.recipe_batch
    return _render(
        job, 'detection', f'{detector.title} with GhostNetV2 {choices.width}', classes,
        f'{train.ann_file} and {val.ann_file}', plan, has_light,
        f'{len(objects.sizes)} training images with {len(objects.boxes)} objects, '
        f'{len(val.content["images"])} validation images. Seen at {plan.size} px, where '
        f'the median object is {width:.0f}x{height:.0f} px.',
        words,
        model=name, base=base, masks=masks, train=train, val=val,
        frozen=model.backbone.get('frozen_stages', -1) >= 0,
        adamw=has_light or name == 'rtmdet',
        lr=_rounded(_LIGHT_LR[job.scratch] * plan.batch / 8 if has_light else lr),
        max_per_img=-(-most * 5 // 4 // 100) * 100 if most > 100 else None,
        **anchors,
    )  # fmt: skip


def _classes(job: _Job, parts: Sequence[Any]) -> Sequence[str]:
    """Return the classes to train: those chosen, or all that have objects."""
    names = [[entry['name'] for entry in part.content['categories']] for part in parts]
    counts = [
        Objects.of(part.content, known).counts for part, known in zip(parts, names)
    ]
    classes = job.classes or [
        name for name in names[0] if counts[0][name] or len(names[0]) == 1
    ]
    for part, known, count, split in zip(parts, names, counts, SPLITS):
        empty = [name for name in classes if not count[name]]
        others = [name for name in known if count[name] and name not in classes]
        hint = did_you_mean(empty[0], others, 1) if empty else ''
        what = f'{part.source}: no object of {examples(empty)}{hint}'
        missing = [name for name in empty if name not in known]
        if missing or (empty and (split == 'train' or hint)):
            raise UserError(
                f'{what}; there are {examples(others or known, 10)} (--classes)'
            )
        if empty:
            job.note(f'{what}: the AP of these classes will be -1')
        if split == 'train' and others:
            job.note(f'{part.source}: objects of {examples(others)} are left out')
        seen = {entry['image_id'] for entry in part.content['annotations']}
        bare = [i['file_name'] for i in part.content['images'] if i['id'] not in seen]
        if bare and split == 'train' and not job.choices.keep_empty:
            job.note(
                f'{part.source}: {len(bare)} images without objects are left out, such as '
                f'{bare[0]}; --keep-empty trains on them'
            )
    return classes


def _segmentation(job: _Job) -> str:
    choices, (train, val) = job.choices, job.paths
    if choices.width != 1.0:
        raise UserError('--width: for segmentation change widen_factor in the config')
    pairs = [
        find_pairs(path, folder, split, choices.map_suffix)
        for path, folder, split in zip(job.paths, job.maps, SPLITS)
    ]
    kinds = [f'*{each.image_suffix} and *{each.map_suffix}' for each in pairs]
    if kinds[0] != kinds[1]:
        raise UserError(
            f'--train has {kinds[0]}, but --val {kinds[1]}: mmseg reads one kind'
        )
    classes = job.classes or read_classes(pairs[0].maps)
    if not classes:
        raise UserError(
            'label maps have numbers: name the classes with --classes, that of 0 first, or '
            'in a classes.txt beside the folders of the maps'
        )
    values, ignored = list(choices.label_values), list(choices.ignore_label)
    if values and len(values) != len(classes):
        raise UserError(
            f'--label-values: {len(values)} values for {len(classes)} classes '
            f'({examples(classes)}): give one for each, in the same order'
        )
    # mmseg can ignore one value, above those of the classes or below them.
    if len(ignored) > 1 or any(',' in v or 0 < int(v) < len(classes) for v in ignored):
        others = (str(i) for i in range(256) if str(i) not in ignored)
        values = values or list(itertools.islice(others, len(classes)))
    if values:
        pairs = [
            convert_maps(each, values, ignored, job.data / split)
            for each, split in zip(pairs, SPLITS)
        ]
        ignored = []
    for each in pairs:
        check_values(each, classes, ignored)
    images, suffix = pairs[0].names, pairs[0].image_suffix
    sizes = _sizes([f'{train}/{name}{suffix}' for name in images])
    longest = usual_side([max(size) for size in sizes])
    largest, base_size = (4, 192) if job.light else (16, 512)
    plan = make_plan(
        choices, job.machine, len(images), longest, largest, base_size=base_size
    )
    scale = min(longest, 512 if job.light else 2048)
    dilations = [1, 6, 12, 18]
    while max(dilations) * 16 >= plan.size and max(dilations) > 1:
        dilations = [max(1, dilation // 2) for dilation in dilations]
    colors = [[int(part) for part in value.split(',')] for value in values]
    if not colors or min(map(len, colors)) < 3:
        hues = [i * 0.381966 % 1 for i in range(len(classes) - 1)]
        colors = [(0, 0, 0), *(colorsys.hsv_to_rgb(hue, 0.75, 1) for hue in hues)]
        colors = [[round(255 * part) for part in color] for color in colors]
    lr = (
        _LIGHT_LR[job.scratch] * plan.batch / 4 if job.light else 0.01 * plan.batch / 16
    )
    return _render(
        job, 'segmentation', 'DeepLabV3+ with GhostNetV2 1.0', classes,
        f'{train} and {val}', plan, job.light,
        f'{len(images)} training images, resized to {scale} px, times 0.75 to 1.5, and '
        f'cropped to {plan.size} px.',
        palette=colors, scale=scale, dilations=tuple(dict.fromkeys(dilations)),
        iterations=plan.epochs * plan.per_epoch, lr=_rounded(lr), adamw=job.light,
        train=pairs[0], val=pairs[1],
        # Ignoring 0 moves the classes down, for which mmseg has an option.
        reduce_zero_label=ignored == ['0'],
        ignore_index=next((int(v) for v in ignored if v not in ('0', '255')), None),
    )  # fmt: skip


def _classification(job: _Job) -> str:
    folders = []
    for path, split in zip(job.paths, SPLITS):
        if not os.path.isdir(path):
            raise UserError(
                f'--{split} {path}: there is no such folder{near_file(path)}'
            )
        folders.append(
            sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
        )
        if hidden := [
            os.path.join(path, name) for name in folders[-1] if is_hidden(name)
        ]:
            raise UserError(
                f'{examples(hidden)} is no class, but mmpretrain would take it for one: '
                f'rm -r {" ".join(hidden)}'
            )
    names, (train, val) = folders[0], job.paths
    if only := sorted(set(names) ^ set(folders[1])):
        where = [f'{name} (only in {SPLITS[name not in names]})' for name in only]
        raise UserError(
            f'class folders differ: {examples(where)}: labels follow the sorted names, so '
            'both parts must have the same folders'
        )
    if job.classes and sorted(job.classes) != names:
        raise UserError(
            f'--classes: here the classes are the folders, {examples(names)}'
        )
    if len(names) < 2:
        raise UserError(f'--train {train}: put the images of each class into a folder')
    members = {name: list_images(os.path.join(train, name)) for name in names}
    rarest = min(members, key=lambda name: len(members[name]))
    if not members[rarest]:
        raise UserError(
            f'--train {train}: no image of {rarest}: add some, or remove the folder from '
            'both parts'
        )
    images = [path for found in members.values() for path in found]
    side = round(float(np.median([min(size) for size in _sizes(images)])))
    largest, side_px = 128 if job.machine.gpus else 32, max(32, side // 32 * 32)
    plan = make_plan(
        job.choices, job.machine, len(images), side_px, largest, base_size=224
    )
    lr = (0.002 if job.scratch else 0.0005) * plan.batch / 32
    return _render(
        job, 'classification', f'GhostNetV2 {job.choices.width}', names,
        f'{train} and {val}', plan, False,
        f'{len(images)} training images, {len(members[rarest])} of the rarest class, '
        f'{rarest}. Seen at {plan.size} px; the median image is {side} px wide or high.',
        lr=_rounded(lr), train=train, val=val,
    )  # fmt: skip


def _sizes(images: Sequence[str]) -> list[tuple[int, int]]:
    """Return height and width of at most some 200 images."""
    sample = map(image_size, images[:: max(1, len(images) // 200)])
    return [size for size in sample if size] or [(224, 224)]


def _rounded(lr: float) -> float:
    return float(f'{lr:.2g}')


def configs_folder() -> Path:
    """Return the folder of mmghost's configs: beside the package, or in an installed one."""
    package = Path(__file__).resolve().parents[2]
    beside = package.parent / 'configs'
    return beside if (beside / '_base_').is_dir() else package / '.mim' / 'configs'


def _render(
    job: _Job,
    name: str,
    title: str,
    classes: Sequence[str],
    data: str,
    plan: Plan,
    light: bool,
    *more: str,
    **values: Any,
) -> str:
    """Fill a template; ``more`` are lines of the comment that opens the config."""

    def base_path(base: str) -> str:
        path, folder = configs_folder() / base, job.out.resolve().parent
        if not folder.is_relative_to(configs_folder().parent):
            return path.as_posix()
        text = Path(os.path.relpath(path, folder)).as_posix()
        return text if text.startswith('.') else f'./{text}'

    released = "the authors' ImageNet weights, fetched on first use"
    start = 'random weights' if job.scratch else job.choices.weights or released
    lines = [
        f'{title} for {len(classes)} class{"es" * (len(classes) != 1)} in {data}.',
        'Written by tools/dataset_tools/new_config.py; change what you like.',
        *filter(None, more),
        f'Planned for {job.machine}{", so with light heads" * light}.',
        f'Starts from {start}.',
        f'  python tools/train.py {job.out.as_posix()}',
    ]
    indents = dict(initial_indent='# ', subsequent_indent='#   ')
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters['py'] = repr
    env.filters['path'] = lambda path: repr(Path(os.path.normpath(path)).as_posix())
    return env.get_template(f'{name}.py.tmpl').render(
        header='\n'.join(textwrap.fill(line, 88, **indents) for line in lines),
        base_path=base_path,
        classes=tuple(classes),
        plan=plan,
        choices=job.choices,
        **values,
    )
