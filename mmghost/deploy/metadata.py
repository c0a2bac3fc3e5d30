"""The preprocessing and the classes of a config, as metadata of an exported file."""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from ..checks.toolbox import takes_rgb, type_name
from ..engine.launch import get_test_dataset
from ..errors import UserError
from .runtime.images import INTERPOLATIONS
from .runtime.metadata import ModelMetadata

# Transforms that leave the pixels alone.
_SKIPPED = ('LoadAnnotations', 'LoadPanopticAnnotations', 'Pack')
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
        UserError: If one of the transforms, or its settings, has no such step.
    """
    steps = []
    for i, config in enumerate(pipeline):
        name = type_name(config['type'])
        if name.startswith(_SKIPPED):
            continue
        if name not in _SETTINGS:
            raise UserError(
                f'test_dataloader.dataset.pipeline[{i}] is {name}, which the runtime '
                f'does not have; it has {", ".join(_SETTINGS)}'
            )
        transform = TRANSFORMS.build(config)
        for key, known in _SETTINGS[name].items():
            value = getattr(transform, key)
            if value not in known:
                known = ', '.join(map(repr, known))
                raise UserError(
                    f'test_dataloader.dataset.pipeline[{i}]: {name} with '
                    f'{key}={value!r}, which the runtime does not have; it has {known}'
                )
        if name in _STEPS:
            steps.append(_STEPS[name](transform))
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


def _sampling(transform: Any) -> Step:
    return dict(interpolation=transform.interpolation, backend=transform.backend)


def _pad(transform: Any) -> Step:
    value = transform.pad_val.get('img', 0)
    values = set(value) if isinstance(value, list | tuple) else {value}
    if len(values) > 1:
        raise UserError(
            f'Pad with pad_val={value}: the runtime pads with one value only'
        )
    step = dict(op='pad', value=values.pop())
    if transform.size is not None:
        return dict(step, size=list(transform.size))
    return dict(step, divisor=transform.size_divisor)


_SAMPLING = dict(backend=('cv2', 'pillow'), interpolation=tuple(INTERPOLATIONS))
# The settings of mmcv's transforms that the runtime has.
_SETTINGS: dict[str, dict[str, tuple]] = {
    'LoadImageFromFile': dict(
        color_type=('color', 'color_ignore_orientation'),
        imdecode_backend=('cv2', 'pillow'),
        to_float32=(False,),
    ),
    'Resize': dict(_SAMPLING, scale_factor=(None,)),
    'ResizeEdge': dict(_SAMPLING, edge=('short', 'long')),
    'CenterCrop': dict(auto_pad=(False,)),
    'Pad': dict(pad_to_square=(False,), padding_mode=('constant',)),
}
_STEPS: dict[str, Callable[[Any], Step]] = {
    'Resize': lambda t: dict(
        op='resize', scale=list(t.scale), keep_ratio=t.keep_ratio, **_sampling(t)
    ),
    'ResizeEdge': lambda t: dict(
        op='resize_edge', scale=t.scale, edge=t.edge, **_sampling(t)
    ),
    'CenterCrop': lambda t: dict(op='center_crop', size=list(t.crop_size)),
    'Pad': _pad,
}
