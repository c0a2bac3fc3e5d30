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

from ...checks import Problem, preflight, raise_if_fatal
from ...checks.images import image_size, is_hidden, list_images
from ...checks.problems import near_file
from ...errors import UserError, did_you_mean, examples
from ...models import GhostNetV2
from .finding import read_classes
from .label_maps import convert_maps, find_pairs
from .labels import Annotations, read_labels
from .planning import Choices, Machine, Objects, fit_anchors, make_plan, usual_side

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


# fmt: off
DETECTORS = {
    'retinanet': Detector('RetinaNet', '_fpn', '_light', 0.01, 16, 16),
    'faster-rcnn': Detector('Faster R-CNN', '_fpn', '_fpn', 0.02, 16, 16),
    'mask-rcnn': Detector('Mask R-CNN', '_fpn', '_light', 0.02, 16, 16),
    'yolov3': Detector('YOLOv3', '', '', 0.003, 64, 32),
    'rtmdet': Detector('RTMDet', '', '', 0.004, 256, 32),
}
# fmt: on
MODELS = {'detection': ['retinanet', 'faster-rcnn', 'yolov3', 'rtmdet']}
MODELS['instance'] = ['mask-rcnn']
_VALUES = (
    '--ignore-label VALUE for what is no class, such as 11; --label-values VALUE ... for '
    'the values or colors of the classes, such as 0 255'
)
# Learning rate of AdamW for small batches and light heads, from scratch and from weights.
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
        if any('label maps' in problem.what for problem in problems if problem.fatal):
            problems.append(Problem('new_config.py', 'can convert label maps', _VALUES))
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
    models, weights = MODELS.get(job.task, []), choices.weights or 'none'
    twice = sorted({name for name in job.classes if list(job.classes).count(name) > 1})
    values = (*choices.label_values, *choices.ignore_label)
    odd = [value for value in values if not re.fullmatch(r'\d+(,\d+,\d+)?', value)]
    for wrong, what in (
        (job.task not in TASKS, f'task {job.task}: must be one of {", ".join(TASKS)}'),
        (
            out.suffix != '.py',
            f'--out {out}: a config is a Python file, such as {out}.py',
        ),
        (
            out.exists() and not overwrite,
            f'--out {out} exists; --overwrite replaces it',
        ),
        (twice, f'--classes: {examples(twice)} is there twice'),
        (odd, f'{examples(odd)}: label maps have numbers or colors (RED,GREEN,BLUE)'),
        (
            choices.model and choices.model not in models,
            f'--model {choices.model}: for {job.task} it is one of {", ".join(models) or "none"}',
        ),
        (choices.width not in WIDTHS, f'--width {choices.width}: must be in {WIDTHS}'),
        (
            weights != 'none' and '://' not in weights and not os.path.isfile(weights),
            f'--weights: there is no file {weights}{near_file(weights)}; --weights none '
            'starts from scratch',
        ),
    ):
        if wrong:
            raise UserError(what)


def _detection(job: _Job) -> str:
    masks = job.task == 'instance'
    train, val = parts = read_labels(
        job.paths, job.images, job.classes, masks, job.data
    )
    classes = _classes(job, parts)
    for part in parts:
        if part.changed:
            job.note(f'{part.source}: converted to {part.ann_file}, in COCO format')
            job.data.mkdir(parents=True, exist_ok=True)
            Path(part.ann_file).write_text(json.dumps(part.content), encoding='utf-8')
    choices, objects = job.choices, Objects.of(train.content, classes)
    name = choices.model or MODELS[job.task][0]
    detector = DETECTORS[name]
    has_light = job.light and detector.light != detector.base
    base = f'{name}_ghostnetv2{detector.light if job.light else detector.base}'
    largest = min(detector.batch, 4 if masks else 8) if job.light else detector.batch
    side = usual_side(objects.sizes.max(1))
    plan = make_plan(choices, job.machine, len(objects.sizes), side, largest, objects)
    model = Config.fromfile(_configs() / f'_base_/models/{base}.py').model
    values = fit_anchors(model, objects.boxes_at(plan.size))
    if choices.width != 1:
        wide = GhostNetV2(choices.width, out_indices=model.backbone.out_indices)
        digits = f'_{round(choices.width * 10)}.'
        values['channels'] = list(wide.out_channels)[:: -1 if name == 'yolov3' else 1]
        values['released'] = model.backbone.init_cfg.checkpoint.replace('_10.', digits)
    most = max(objects.most, Objects.of(val.content, classes).most)
    lr = detector.lr * plan.batch / detector.recipe_batch
    return _render(
        job, 'detection', classes, plan, has_light,
        lr=_LIGHT_LR[job.scratch] * plan.batch / 8 if has_light else lr,
        title=detector.title, model=name, base=base, masks=masks, train=train, val=val,
        objects=objects, middle=np.median(objects.boxes_at(plan.size), 0),
        frozen=model.backbone.get('frozen_stages', -1) >= 0,
        max_per_img=-(-most * 5 // 4 // 100) * 100 if most > 100 else None, **values,
    )  # fmt: skip


def _classes(job: _Job, parts: Sequence[Annotations]) -> Sequence[str]:
    """Return the classes to train: those chosen, or all that have objects."""
    classes = job.classes
    for part, split in zip(parts, SPLITS):
        known = [entry['name'] for entry in part.content['categories']]
        count = Objects.of(part.content, known).counts
        classes = classes or [n for n in known if count[n] or len(known) == 1]
        empty = [name for name in classes if not count[name]]
        others = [name for name in known if count[name] and name not in classes]
        hint = did_you_mean(empty[0], others, 1) if empty else ''
        what = f'{part.source}: no object of {examples(empty)}{hint}'
        if empty and (split == 'train' or hint or not set(empty) <= set(known)):
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
    choices, train = job.choices, job.paths[0]
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
    images = [f'{train}/{name}{pairs[0].image_suffix}' for name in pairs[0].names]
    longest = usual_side([max(size) for size in _sizes(images)])
    largest, size = (4, 192) if job.light else (16, 512)
    plan = make_plan(
        choices, job.machine, len(images), longest, largest, base_size=size
    )
    dilations = [1, 6, 12, 18]
    while max(dilations) * 16 >= plan.size and max(dilations) > 1:
        dilations = [max(1, dilation // 2) for dilation in dilations]
    colors = [[int(part) for part in value.split(',')] for value in values]
    if not colors or min(map(len, colors)) < 3:
        hues = [i * 0.381966 % 1 for i in range(len(classes) - 1)]
        colors = [(0, 0, 0), *(colorsys.hsv_to_rgb(hue, 0.75, 1) for hue in hues)]
        colors = [[round(255 * part) for part in color] for color in colors]
    lr = _LIGHT_LR[job.scratch] / 4 if job.light else 0.01 / 16
    return _render(
        job, 'segmentation', classes, plan, job.light, lr=lr * plan.batch,
        palette=colors, dilations=tuple(dict.fromkeys(dilations)), images=images,
        scale=min(longest, 512 if job.light else 2048),
        iterations=plan.epochs * plan.per_epoch, train=pairs[0], val=pairs[1],
        # Ignoring 0 moves the classes down, for which mmseg has an option.
        reduce_zero_label=ignored == ['0'],
        ignore_index=next((int(v) for v in ignored if v not in ('0', '255')), None),
    )  # fmt: skip


def _classification(job: _Job) -> str:
    folders = []
    for path, split in zip(job.paths, SPLITS):
        if not os.path.isdir(path):
            hint = near_file(path)
            raise UserError(f'--{split} {path}: there is no such folder{hint}')
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
            f'--train {train}: no image of {rarest}: add some, or remove it'
        )
    images = [path for found in members.values() for path in found]
    side = round(float(np.median([min(size) for size in _sizes(images)])))
    size, largest = max(32, side // 32 * 32), 128 if job.machine.gpus else 32
    plan = make_plan(
        job.choices, job.machine, len(images), size, largest, base_size=224
    )
    return _render(
        job, 'classification', names, plan, False,
        lr=(0.002 if job.scratch else 0.0005) * plan.batch / 32, images=images, side=side,
        rarest=rarest, fewest=len(members[rarest]), train=train, val=val,
    )  # fmt: skip


def _sizes(images: Sequence[str]) -> list[tuple[int, int]]:
    """Return height and width of at most some 200 images."""
    sample = map(image_size, images[:: max(1, len(images) // 200)])
    return [size for size in sample if size] or [(224, 224)]


def _configs() -> Path:
    """Return the folder of mmghost's configs."""
    package = Path(__file__).resolve().parents[2]
    beside = package.parent / 'configs'
    return beside if (beside / '_base_').is_dir() else package / '.mim/configs'


def _render(
    job: _Job,
    name: str,
    classes: Sequence[str],
    plan: Any,
    light: bool,
    lr: float,
    **values: Any,
) -> str:
    """Fill a template."""

    def base_path(base: str) -> str:
        path, folder = _configs() / base, job.out.resolve().parent
        if not folder.is_relative_to(_configs().parent):
            return path.as_posix()
        text = Path(os.path.relpath(path, folder)).as_posix()
        return text if text.startswith('.') else f'./{text}'

    def comment(text: str) -> str:
        indents = dict(initial_indent='# ', subsequent_indent='#   ')
        lines = [line for line in text.splitlines() if line.strip()]
        return '\n'.join(textwrap.fill(line, 88, **indents) for line in lines) + '\n'

    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= dict(comment=comment, py=repr)
    env.filters['path'] = lambda path: repr(Path(os.path.normpath(path)).as_posix())
    return env.get_template(f'{name}.py.tmpl').render(
        base_path=base_path,
        job=job,
        choices=job.choices,
        classes=tuple(classes),
        plan=plan,
        light=light,
        lr=float(f'{lr:.2g}'),
        **values,
    )
