"""The preprocessing and the classes of a config, as metadata of an exported file."""

from collections.abc import Sequence
from typing import Any

import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from ..checks.toolbox import takes_rgb, type_name
from ..engine.launch import get_test_dataset
from ..errors import UserError
from ..models import DFCAttention
from .runtime.images import INTERPOLATIONS, OPS
from .runtime.metadata import ModelMetadata

# Transforms that leave the pixels alone.
_SKIPPED = ('LoadAnnotations', 'LoadPanopticAnnotations', 'Pack')
Step = dict[str, Any]


def infer_metadata(cfg: Config, model: nn.Module, task: str) -> ModelMetadata:
    """Collect what a file for any size must say about images and classes.

    Args:
        cfg: The config; its test pipeline is what the runtime does.
        model: The model built from it, with ``dataset_meta``.
        task: As in :class:`ModelMetadata`.

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
    rcnn = model.roi_head.test_cfg if task == 'instance segmentation' else {}
    pipeline = get_test_dataset(cfg).pipeline
    return ModelMetadata(
        task=task,
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
        least_side=least_side(model),
        mask_threshold=float(rcnn.get('mask_thr_binary', 0.5)),
    )


def least_side(model: nn.Module) -> int:
    """Return the smallest side of an image, in px, for which a trace is right.

    A map smaller than DFC attention's pooling window is pooled whole; a trace knows only
    what happened to the map that it saw. The smallest map has a stride of 32, whatever
    the output stride.
    """
    ratios = [m.ratio for m in model.modules() if isinstance(m, DFCAttention)]
    return 32 * (max(ratios, default=1) - 1) + 1


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
        transform, step = TRANSFORMS.build(config), {'op': name}
        for key, known in _SETTINGS[name].items():
            value = getattr(transform, key)
            if known and value not in known:
                known = ', '.join(map(repr, known))
                raise UserError(
                    f'test_dataloader.dataset.pipeline[{i}]: {name} with '
                    f'{key}={value!r}, which the runtime does not have; it has {known}'
                )
            if len(known) != 1:
                step[key] = value
        if name in OPS:
            steps.append(step)
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


_SAMPLING = dict(backend=('cv2', 'pillow'), interpolation=tuple(INTERPOLATIONS))
# The settings of mmcv's transforms that the runtime has; () are any.
_SETTINGS: dict[str, dict[str, tuple]] = {
    'LoadImageFromFile': dict(
        color_type=('color', 'color_ignore_orientation'),
        imdecode_backend=('cv2', 'pillow'),
        to_float32=(False,),
    ),
    'Resize': dict(scale=(), keep_ratio=(), scale_factor=(None,), **_SAMPLING),
    'ResizeEdge': dict(scale=(), edge=('short', 'long'), **_SAMPLING),
    'CenterCrop': dict(crop_size=(), auto_pad=(False,)),
    'Pad': dict(
        size=(),
        size_divisor=(),
        pad_val=(),
        pad_to_square=(False,),
        padding_mode=('constant',),
    ),
}
