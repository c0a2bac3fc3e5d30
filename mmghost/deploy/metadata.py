"""The preprocessing and the classes of a config, as metadata of an exported file."""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn as nn
from mmengine.config import Config

from ..checks.toolbox import takes_rgb, type_name
from ..engine.launch import get_test_dataset
from ..errors import UserError
from .runtime.images import INTERPOLATIONS
from .runtime.metadata import ModelMetadata

# Transforms that leave the pixels alone.
_SKIPPED = ('LoadImageFromFile', 'LoadAnnotations', 'LoadPanopticAnnotations')
Step = dict[str, Any]


def infer_metadata(cfg: Config, model: nn.Module, **more: Any) -> ModelMetadata:
    """Collect what a file must say about images and classes.

    Args:
        cfg: The config; its test pipeline is what the runtime does.
        model: The model built from it, with ``dataset_meta``.
        **more: Other fields of :class:`ModelMetadata`.

    Raises:
        UserError: If the pipeline has a step that the runtime does not know.
    """
    pre = model.data_preprocessor
    mean, std = [0.0] * 3, [1.0] * 3
    if pre._enable_normalize:
        # Seven digits are all of a float32: 123.675, not 123.67500305.
        mean, std = (
            [float(f'{value:.7g}') for value in values.flatten().tolist()]
            for values in (pre.mean, pre.std)
        )
    meta = model.dataset_meta or {}
    classes = [str(name) for name in meta.get('classes') or []]
    palette = meta.get('palette')
    if not isinstance(palette, list | tuple) or len(palette) < len(classes):
        palette = None  # a name, such as 'random'
    pipeline = get_test_dataset(cfg).pipeline
    return ModelMetadata(
        classes=classes,
        orientation=not any(
            step.get('color_type') == 'color_ignore_orientation' for step in pipeline
        ),
        steps=infer_steps(pipeline),
        channels='RGB' if takes_rgb(pre) else 'BGR',
        mean=(mean * 3)[:3],
        std=(std * 3)[:3],
        pad_divisor=_pad_divisor(pre),
        pad_value=float(getattr(pre, 'pad_value', getattr(pre, 'pad_val', 0))),
        palette=palette and [list(color) for color in palette[: len(classes)]],
        **more,
    )


def infer_steps(pipeline: Sequence[Step]) -> list[Step]:
    """Translate a test pipeline into the steps of the runtime.

    Raises:
        UserError: If one of the transforms has no such step.
    """
    steps = []
    for i, transform in enumerate(pipeline):
        name = type_name(transform['type'])
        settings = {key: value for key, value in transform.items() if key != 'type'}
        if name == 'LoadImageFromFile':
            _check_loading(settings)
        if name in _SKIPPED or name.startswith('Pack'):
            continue
        if name not in _TRANSLATIONS:
            raise UserError(
                f'test_dataloader.dataset.pipeline[{i}] is {name}, which the runtime '
                f'does not have; it has {", ".join(_TRANSLATIONS)}'
            )
        steps.append(_TRANSLATIONS[name](settings))
    return steps


def _pad_divisor(pre: nn.Module) -> int:
    if not hasattr(pre, 'test_cfg'):
        return getattr(pre, 'pad_size_divisor', 1) or 1
    test = pre.test_cfg or {}  # mmseg's: `size` is for training
    if test.get('size') is not None:
        raise UserError(
            f'model.data_preprocessor.test_cfg.size={test["size"]}: export with '
            '--cfg-options model.data_preprocessor.test_cfg=None and, if the size must '
            'be fixed, --fixed --size HEIGHT WIDTH'
        )
    return test.get('size_divisor') or 1


def _check_loading(settings: Step) -> None:
    color = settings.get('color_type', 'color')
    backend = settings.get('imdecode_backend', 'cv2')
    if (
        color not in ('color', 'color_ignore_orientation')
        or backend not in ('cv2', 'pillow')
        or settings.get('to_float32')
    ):
        raise UserError(
            f'LoadImageFromFile with {settings}: the runtime reads color images as '
            'bytes only'
        )


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _sampling(settings: Step) -> Step:
    backend = settings.get('backend', 'cv2')
    how = settings.get('interpolation', 'bilinear')
    if backend not in ('cv2', 'pillow') or (
        backend == 'cv2' and how not in INTERPOLATIONS
    ):
        raise UserError(
            f'interpolation={how!r} with backend={backend!r}: the runtime has '
            f"{', '.join(INTERPOLATIONS)} of 'cv2', and 'pillow'"
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
    edge = settings.get('edge', 'short')
    scale = settings['scale']
    return {'op': 'resize_edge', 'scale': scale, 'edge': edge, **_sampling(settings)}


def _center_crop(settings: Step) -> Step:
    if settings.get('auto_pad'):
        raise UserError('CenterCrop with auto_pad=True: the runtime does not pad')
    return {'op': 'center_crop', 'size': _pair(settings['crop_size'])}


def _pad(settings: Step) -> Step:
    value = settings.get('pad_val', 0)
    value = value.get('img', 0) if isinstance(value, dict) else value
    values = set(value) if isinstance(value, list | tuple) else {value}
    if (
        settings.get('pad_to_square')
        or settings.get('padding_mode', 'constant') != 'constant'
        or len(values) > 1
    ):
        raise UserError(f'Pad with {settings}: the runtime pads with one value only')
    size = settings.get('size')
    if size is not None:
        return {'op': 'pad', 'size': _pair(size), 'value': values.pop()}
    return {'op': 'pad', 'divisor': settings['size_divisor'], 'value': values.pop()}


_TRANSLATIONS: dict[str, Callable[[Step], Step]] = {
    'Resize': _resize,
    'ResizeEdge': _resize_edge,
    'CenterCrop': _center_crop,
    'Pad': _pad,
}
