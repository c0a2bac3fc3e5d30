"""Look at the user's data, plan a training, write its config, and check it."""

import os
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import jinja2
import numpy as np
from mmengine.config import Config

from ...checks import preflight, raise_if_fatal
from ...checks.images import SUFFIXES, image_size, is_hidden, list_images
from ...errors import UserError, did_you_mean, examples, near_file
from ...models import GhostNetV2
from .finding import read_classes
from .label_maps import convert_maps, find_pairs
from .labels import read_part
from .planning import Machine, Objects, fit_anchors, fitting_size, make_plan

TASKS = ('detection', 'instance', 'segmentation', 'classification')
MODELS = {
    'detection': ('retinanet', 'faster-rcnn', 'yolov3', 'rtmdet'),
    'instance': ('mask-rcnn',),
}
WIDTHS = (1.0, 1.3, 1.6)


class Choices(NamedTuple):
    """What the user chooses instead of the data and the machine: flags of new_config.py."""

    images: str | None = None  # folders, if they are not at one of the usual places
    val_images: str | None = None
    train_maps: str | None = None
    val_maps: str | None = None
    map_suffix: str | None = None  # end of the label maps' names
    label_values: Sequence[str] = ()  # of each class: numbers, or colors as '64,128,64'
    ignore_label: Sequence[str] = ()  # of what is no class
    classes: Sequence[str] = ()
    keep_empty: bool = False  # train on images without objects, too
    model: str | None = None
    width: float = 1.0
    weights: str | None = None  # path or URL; 'none': random; None: those of ImageNet
    light: bool | None = None  # heads
    size: int | None = None  # longer side of the input in px
    batch: int | None = None
    epochs: int | None = None


class Job(NamedTuple):
    """What is asked for, on which data and machine."""

    task: str
    paths: Sequence[str]  # of the training and the validation data
    data: Path  # folder of what is converted
    choices: Choices
    machine: Machine
    note: Callable[[str], None]


def new_config(
    task: str,
    train: str,
    val: str,
    out: str,
    choices: Choices,
    note: Callable[[str], None] = print,
    overwrite: bool = False,
) -> Path:
    """Write a config that trains on a user's data as they are.

    Args:
        task: One of ``TASKS``.
        train: The training data: labels as :func:`~.finding.find_files` takes them, a
            folder of images (segmentation) or of class folders (classification).
        val: The validation data.
        out: Path of the config. What must be converted goes to a folder beside it.
        choices: What the user chooses.
        note: Called with lines about what was found.
        overwrite: Whether to replace an existing config.

    Returns:
        Path of the config.

    Raises:
        UserError: If data or arguments must be fixed first. Nothing is written then.
    """
    path, machine = Path(out), Machine.this()
    _check_arguments(task, path, choices, overwrite)
    if choices.light is None:
        choices = choices._replace(light=machine.gpus == 0)
    data = path.with_name(f'{path.stem}_data')
    maps = choices.train_maps, choices.val_maps
    for place in (train, val, choices.images, choices.val_images, *maps):
        if place and Path(place).resolve().is_relative_to(data.resolve()):
            what = f'what is converted goes to {data}, where {place} is'
            raise UserError(f'--out {out}: {what}: give the config another name')
    job = Job(task, (train, val), data, choices, machine, note)
    plan = {'segmentation': _segmentation, 'classification': _classification}
    unchecked = path.with_name(f'{path.stem}_unchecked.py')
    with TemporaryDirectory() as folder:
        saved = Path(folder, 'data')
        if data.exists():
            shutil.copytree(data, saved)
        try:
            text = _render(path, job, **plan.get(task, _detection)(job))
            path.parent.mkdir(parents=True, exist_ok=True)
            unchecked.write_text(text, encoding='utf-8')
            problems = preflight(Config.fromfile(unchecked), note=lambda line: None)
            raise_if_fatal(
                problems, lambda line: note(line.removeprefix('preflight: '))
            )
            unchecked.replace(path)
        except BaseException:
            shutil.rmtree(data, ignore_errors=True)
            if saved.exists():
                shutil.copytree(saved, data)
            unchecked.unlink(missing_ok=True)
            raise
    return path


def _check_arguments(task: str, out: Path, choices: Choices, overwrite: bool) -> None:
    weights, models = choices.weights or 'none', MODELS.get(task, ())
    if out.suffix != '.py':
        raise UserError(f'--out {out}: a config is a Python file, such as {out}.py')
    if out.exists() and not overwrite:
        raise UserError(f'--out {out} exists; --overwrite replaces it')
    if choices.model and choices.model not in models:
        known = ', '.join(models) or 'none'
        raise UserError(f'--model {choices.model}: for {task} it is one of {known}')
    if task == 'segmentation' and choices.width != 1.0:
        raise UserError(
            f'--width {choices.width}: for segmentation only 1.0; what another one changes is '
            'in configs/segmentation/ghostnetv2-1.3-d8_deeplabv3_4xb4-160k_ade20k-512x512.py'
        )
    for value in (*choices.label_values, *choices.ignore_label):
        if not re.fullmatch(r'\d+(,\d+,\d+)?', value):
            raise UserError(
                f'{value}: label maps have numbers or colors (RED,GREEN,BLUE)'
            )
    for flag, least in (('size', 32), ('batch', 1), ('epochs', 1)):
        value = getattr(choices, flag)
        if value is not None and value < least:
            raise UserError(f'--{flag} {value}: must be at least {least}')
    if weights != 'none' and '://' not in weights and not os.path.isfile(weights):
        raise UserError(
            f'--weights: there is no file {weights}{near_file(weights)}; --weights none '
            'starts from scratch'
        )


def _detection(job: Job) -> dict[str, Any]:
    masks, choices, light = job.task == 'instance', job.choices, job.choices.light
    name = choices.model or MODELS[job.task][0]
    train = read_part(job, 'train', choices.classes)
    known = [entry['name'] for entry in train.content['categories']]
    # VOC files do not list the classes; those of the training part go first.
    val = read_part(job, 'val', choices.classes or known)
    counts = Objects.of(train.content, known).counts
    classes = choices.classes or [name for name in known if counts[name]] or known
    objects = Objects.of(train.content, classes)
    if others := [name for name in known if name not in classes]:
        seen = [f'{name} ({counts[name]})' for name in others]
        job.note(f'{job.paths[0]}: objects of {examples(seen)} are left out')
    bare = len(objects.sizes) - len(set(objects.image_of.tolist()))
    if bare and not choices.keep_empty:
        job.note(
            f'{job.paths[0]}: {bare} images without objects are left out (--keep-empty)'
        )
    empty = [name for name in classes if not objects.counts[name]]
    if empty or not classes:
        hint = did_you_mean(''.join(empty[:1]), counts, 1)
        there = f'; there are {examples([*counts], 10) or "none"} (--classes)'
        what = f'no object of {examples(empty) or "any class"}{hint}{there}'
        raise UserError(f'{job.paths[0]}: {what}')
    files = [
        _configs() / f'_base_/models/{name}_ghostnetv2{end}.py'
        for end in ('_light', '_fpn', '')
    ]
    base = next(file for file in files[not light :] if file.is_file())
    model = Config.fromfile(base).model
    size = fitting_size(objects.sizes.max(1), 320 if light else 1024, objects)
    largest = (4 if masks else 8) if light else 16
    plan = make_plan(choices, job.machine, len(objects.sizes), size, largest)
    boxes = objects.boxes_at(plan.size)
    values = fit_anchors(model, boxes)
    if choices.width != 1:
        wide = GhostNetV2(choices.width, out_indices=model.backbone.out_indices)
        digits = f'_{round(choices.width * 10)}.'
        values['channels'] = list(wide.out_channels)[:: -1 if name == 'yolov3' else 1]
        values['released'] = model.backbone.init_cfg.checkpoint.replace('_10.', digits)
    return values | dict(
        template='detection', model=name, base=base.stem, light='light' in base.stem,
        classes=classes, masks=masks, train=train, val=val, objects=objects, plan=plan,
        middle=np.median(boxes, 0),
        frozen=model.backbone.get('frozen_stages', -1) >= 0,
    )  # fmt: skip


def _segmentation(job: Job) -> dict[str, Any]:
    choices = job.choices
    train = find_pairs(job.paths[0], choices.train_maps, 'train', choices.map_suffix)
    val = find_pairs(job.paths[1], choices.val_maps, 'val', choices.map_suffix)
    classes = choices.classes or read_classes(train.maps)
    values, ignored = list(choices.label_values), list(choices.ignore_label)
    if not classes or len(values) not in (0, len(classes)):
        raise UserError(
            'label maps have numbers: name the classes with --classes, that of 0 first, or '
            f'in a classes.txt beside the folders of the maps; there are {len(classes)} '
            f'classes and {len(values)} --label-values'
        )
    if len(classes) == 1:
        raise UserError(
            f'{classes[0]} alone cannot be told from anything: --classes background '
            f'{classes[0]}, and --label-values if they are not 0 and 1'
        )
    # mmseg can ignore one value, above those of the classes or below them.
    if len(ignored) > 1 or any(',' in v or 0 < int(v) < len(classes) for v in ignored):
        others = [str(i) for i in range(256) if str(i) not in ignored]
        values = values or others[: len(classes)]
    if values:
        train = convert_maps(train, values, ignored, job.data / 'train')
        val = convert_maps(val, values, ignored, job.data / 'val')
        ignored = []
    is_color = any(',' in value for value in values)
    images = [f'{train.images}/{name}{train.image_suffix}' for name in train.names]
    sides = [max(size) for size in _sizes(images)]
    largest, crop, scale = (4, 192, 512) if choices.light else (16, 512, 2048)
    plan = make_plan(
        choices, job.machine, len(images), fitting_size(sides, crop), largest
    )
    dilations = [1, 6, 12, 18]
    while max(dilations) * 16 >= plan.size and max(dilations) > 1:
        dilations = [max(1, dilation // 2) for dilation in dilations]
    return dict(
        template='segmentation', classes=classes, plan=plan, light=choices.light,
        train=train, val=val, iterations=plan.epochs * plan.per_epoch,
        dilations=tuple(dict.fromkeys(dilations)),
        scale=min(round(float(np.quantile(sides, 0.9))), scale),
        palette=[(v.split(',') * 3)[:3] for v in values] if is_color else [],
        # Ignoring 0 moves the classes down, for which mmseg has an option.
        reduce_zero_label=ignored == ['0'],
        ignore_index=next((int(v) for v in ignored if v not in ('0', '255')), None),
    )  # fmt: skip


def _classification(job: Job) -> dict[str, Any]:
    train, val = job.paths
    # Hidden folders are among them: mmpretrain counts these, and the checks say so.
    names, others = (
        sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
        for path in job.paths
    )
    if differ := sorted(n for n in {*names} ^ {*others} if not is_hidden(n)):
        raise UserError(
            f'class folders of {train} and {val} differ: {examples(differ)} - make them; '
            'one may be empty'
        )
    if job.choices.classes and sorted(job.choices.classes) != names:
        raise UserError(
            f'--classes: here the classes are the folders, {examples(names)}'
        )
    members = {name: list_images(os.path.join(train, name)) for name in names}
    images = [image for found in members.values() for image in found]
    if not images:
        raise UserError(f'--train {train}: put the images of each class into a folder')
    rarest = min(members, key=lambda name: len(members[name]))
    side = round(float(np.median([min(size) for size in _sizes(images)])))
    largest, size = 128 if job.machine.gpus else 32, min(max(32, side // 32 * 32), 224)
    return dict(
        template='classification', classes=names, images=images, train=train, val=val,
        plan=make_plan(job.choices, job.machine, len(images), size, largest), side=side,
        rarest=rarest, fewest=len(members[rarest]), suffixes=SUFFIXES,
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
    out: Path, job: Job, template: str, classes: Sequence[str], **values: Any
) -> str:
    """Fill a template."""

    def base_path(base: str) -> str:
        path, folder = _configs() / base, out.resolve().parent
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
    known = dict(base_path=base_path, out=out, choices=job.choices, machine=job.machine)
    page = env.get_template(f'{template}.py.tmpl')
    return page.render(classes=tuple(classes), **known, **values)
