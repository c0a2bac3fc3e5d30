"""What a config does to a picture before the network, as the facts of an exported file."""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn as nn
from mmengine.config import Config

from ..engine.launch import innermost
from ..checks.toolbox import takes_rgb, type_name
from ..errors import UserError
from .runtime.facts import Facts
from .runtime.resizing import WAYS

# Transforms that leave the pixels alone.
_PASSED = ('LoadImageFromFile', 'LoadAnnotations', 'LoadPanopticAnnotations')
Step = dict[str, Any]


def facts_of(cfg: Config, model: nn.Module, **more: Any) -> Facts:
    """Collect what a file must say about pictures and classes.

    Args:
        cfg: The config; its test pipeline is what the file's user must do.
        model: The model built from it, with ``dataset_meta``.
        **more: The other facts.

    Raises:
        UserError: If the pipeline has a step that the runtime does not know.
    """
    pre = model.data_preprocessor
    rgb = takes_rgb(pre)
    mean, std = [0.0] * 3, [1.0] * 3
    if pre._enable_normalize:
        # Seven digits are all of a float32: 123.675, not 123.67500305.
        mean, std = (
            [float(f'{value:.7g}') for value in values.flatten().tolist()]
            for values in (pre.mean, pre.std)
        )
    steps = steps_of(cfg)
    padding = _padding(pre, steps)
    meta = model.dataset_meta or {}
    classes = [str(name) for name in meta.get('classes') or []]
    palette = meta.get('palette')
    if not isinstance(palette, list | tuple) or len(palette) < len(classes):
        palette = None  # a name, such as 'random'
    return Facts(
        classes=classes,
        orientation=orientation_of(cfg),
        steps=steps,
        channels='RGB' if rgb else 'BGR',
        mean=(mean * 3)[:3],
        std=(std * 3)[:3],
        pad_divisor=padding,
        pad_value=float(getattr(pre, 'pad_value', getattr(pre, 'pad_val', 0))),
        palette=palette and [list(colour) for colour in palette[: len(classes)]],
        **more,
    )


def _padding(pre: nn.Module, steps: list[Step]) -> int:
    """To multiples of what a model's preprocessor pads its test pictures."""
    if hasattr(pre, 'test_cfg'):  # mmseg's: sizes in training, and others for tests
        test = pre.test_cfg or {}
        if test.get('size') is not None:
            raise UserError(
                f'model.data_preprocessor.test_cfg.size = {test["size"]}: export with '
                '--cfg-options model.data_preprocessor.test_cfg=None and, where the '
                'size must be fixed, --fixed --size HEIGHT WIDTH'
            )
        return test.get('size_divisor') or 1
    return getattr(pre, 'pad_size_divisor', 1) or 1


def steps_of(cfg: Config) -> list[Step]:
    """Translate the test pipeline of a config into the runtime's steps.

    Raises:
        UserError: If there is none, or one of its transforms has no such step.
    """
    steps = []
    for number, transform in enumerate(_pipeline(cfg)):
        name = type_name(transform['type'])
        if name in _PASSED or name.startswith('Pack'):
            _check_loading(name, transform)
            continue
        if name not in _TRANSLATIONS:
            raise UserError(
                f'test_dataloader.dataset.pipeline[{number}] is {name}, which '
                f'run_onnx.py cannot do; it can do {", ".join(_TRANSLATIONS)}'
            )
        settings = {key: value for key, value in transform.items() if key != 'type'}
        steps.append(_TRANSLATIONS[name](settings))
    return steps


def orientation_of(cfg: Config) -> bool:
    """Whether the test pipeline of a config turns pictures as their EXIF data say."""
    kinds = [
        transform.get('color_type', 'color')
        for transform in _pipeline(cfg)
        if type_name(transform['type']) == 'LoadImageFromFile'
    ]
    return 'color_ignore_orientation' not in kinds


def _pipeline(cfg: Config) -> list[Step]:
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    pipeline = innermost(loader.dataset).get('pipeline') if loader else None
    if pipeline is None:
        raise UserError(
            f'{cfg.filename} has no test_dataloader.dataset.pipeline: the file could '
            'not say how a picture is prepared for it'
        )
    return pipeline


def _check_loading(name: str, transform: Step) -> None:
    if name != 'LoadImageFromFile':
        return
    colour = transform.get('color_type', 'color')
    backend = transform.get('imdecode_backend', 'cv2')
    if (
        colour not in ('color', 'color_ignore_orientation')
        or backend not in ('cv2', 'pillow')
        or transform.get('to_float32')
    ):
        raise UserError(
            f'LoadImageFromFile with color_type={colour!r}, imdecode_backend={backend!r} '
            'and to_float32: run_onnx.py reads colour pictures in bytes only'
        )


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _sampling(settings: Step) -> Step:
    backend = settings.get('backend', 'cv2')
    how = settings.get('interpolation', 'bilinear')
    if backend == 'cv2' and how not in WAYS:
        raise UserError(
            f"interpolation={how!r} with backend='cv2': run_onnx.py can do "
            f'{", ".join(WAYS)}'
        )
    return {'interpolation': how, 'backend': backend}


def _resize(settings: Step) -> Step:
    sampling = _sampling(settings)
    if settings.get('scale') is not None:
        return {
            'op': 'resize',
            'scale': _pair(settings['scale']),
            'keep_ratio': bool(settings.get('keep_ratio', False)),
            **sampling,
        }
    factor = settings['scale_factor']
    factor = list(factor) if isinstance(factor, list | tuple) else float(factor)
    return {'op': 'resize_by', 'factor': factor, **sampling}


def _resize_edge(settings: Step) -> Step:
    return {
        'op': 'resize_edge',
        'scale': settings['scale'],
        'edge': settings.get('edge', 'short'),
        **_sampling(settings),
    }


def _center_crop(settings: Step) -> Step:
    if settings.get('auto_pad'):
        raise UserError('CenterCrop with auto_pad: run_onnx.py crops only')
    return {'op': 'center_crop', 'size': _pair(settings['crop_size'])}


def _pad(settings: Step) -> Step:
    if (
        settings.get('pad_to_square')
        or settings.get('padding_mode', 'constant') != 'constant'
    ):
        raise UserError(f'Pad with {settings}: run_onnx.py pads with a constant only')
    value = settings.get('pad_val', 0)
    value = value.get('img', 0) if isinstance(value, dict) else value
    if isinstance(value, list | tuple):
        if len(set(value)) > 1:
            raise UserError(
                f'Pad with pad_val={value}: run_onnx.py pads all channels alike'
            )
        value = value[0]
    size = settings.get('size')
    if size is not None:
        return {'op': 'pad', 'size': _pair(size), 'value': value}
    return {'op': 'pad', 'divisor': settings['size_divisor'], 'value': value}


_TRANSLATIONS: dict[str, Callable[[Step], Step]] = {
    'Resize': _resize,
    'ResizeEdge': _resize_edge,
    'CenterCrop': _center_crop,
    'Pad': _pad,
}
