"""Parameters and multiply-accumulates of a config's model; no data are needed."""

import types
from typing import Any, NamedTuple

import torch.nn as nn
from mmengine.config import Config
from torch import Tensor

from ..checks.toolbox import scope_of, type_name
from ..engine.building import build_model
from ..errors import UserError
from .complexity import Complexity, complexity

# Defaults of the toolboxes' own tools, for configs without a size.
DEFAULT_SHAPES = {'mmdet': (800, 1344), 'mmseg': (512, 512), 'mmpretrain': (224, 224)}


class ConfigCost(NamedTuple):
    """Cost of a config's model for one image.

    Attributes:
        shape: Height and width of the image in px.
        backbone: Cost of the backbone alone; None without one.
        whole: Cost of the model in inference; auxiliary heads count with their parameters.
        proposals: Number of proposals that the head of a two-stage detector was given.
    """

    shape: tuple[int, int]
    backbone: Complexity | None
    whole: Complexity
    proposals: int | None = None


def config_cost(cfg: Config, shape: tuple[int, int] | None = None) -> ConfigCost:
    """Count parameters and multiply-accumulates of a config's model.

    What a detector does after its last convolution is not counted. The head of a two-stage
    detector gets as many proposals as it takes at most.

    Args:
        cfg: A config of one of the toolboxes.
        shape: Height and width of the image in px; None for :func:`default_shape`.

    Raises:
        UserError: If the model does not take images of this shape, or, like Cascade
            R-CNN and DETR of mmdet, takes none without their annotations.
    """
    shape = tuple(shape or default_shape(cfg))
    try:
        try:  # on the meta device nothing is computed
            return _count(build_model(cfg).eval().to('meta'), shape)
        except NotImplementedError:  # a layer without a meta form
            return _count(build_model(cfg).eval(), shape)
    except (
        RuntimeError,
        ValueError,
        AssertionError,
        TypeError,
        AttributeError,
    ) as error:
        raise UserError(
            f'the model of {cfg.filename} does not take images of {shape[0]} x '
            f'{shape[1]} px (height x width) without annotations: {error!r}'
        ) from error


def _count(model: nn.Module, shape: tuple[int, int]) -> ConfigCost:
    proposals = None
    if hasattr(model, 'rpn_head') and hasattr(model, 'roi_head'):
        proposals = _give_proposals(model)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    channels = convs[0].in_channels if convs else 3
    backbone = getattr(model, 'backbone', None)
    return ConfigCost(
        shape,
        backbone and complexity(backbone, shape, channels),
        complexity(model, shape, channels),
        proposals,
    )


def default_shape(cfg: Config) -> tuple[int, int]:
    """Return the size of the images that a config's model is tested on.

    Args:
        cfg: A config of one of the toolboxes.

    Returns:
        Height and width in px: the last crop or resize of the test pipeline, the shorter
        side as the height, rounded up to the multiple that the model pads to. For a
        segmentor the size that it is trained on, at which the model zoo counts too.
    """
    scope = scope_of(cfg)
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    preprocessor = preprocessor or {}
    crop = preprocessor.get('size')
    if scope == 'mmseg' and crop:
        return (crop, crop) if isinstance(crop, int) else tuple(crop)
    dataset = (cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}).get(
        'dataset'
    )
    while dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    size: Any = None
    for step in (dataset or {}).get('pipeline', []):
        if 'crop_size' in step or type_name(step.get('type')) == 'Resize':
            size = step.get('crop_size', step.get('scale')) or size
    if size is None:
        return DEFAULT_SHAPES[scope]
    height, width = sorted((size, size) if isinstance(size, int) else size)
    divisor = preprocessor.get('pad_size_divisor') or 1
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def _give_proposals(model: nn.Module) -> int:
    """Make a two-stage detector propose as much as it may, in place.

    How many proposals survive NMS depends on weights and image, and a cost must not. The
    features cut out for them have a fixed size, and cutting has no MACs that count.

    Returns:
        The number of proposals.
    """
    from mmengine.structures import InstanceData

    count = model.test_cfg.rpn.max_per_img

    def predict(self: nn.Module, x: Any, *_args: Any, **_kwargs: Any) -> list:
        self(x)
        return [InstanceData(bboxes=x[0].new_zeros(count, 4))]

    def extract(self: nn.Module, x: Any, rois: Tensor, *_args: Any) -> Tensor:
        size = self.roi_layers[0].output_size
        return x[0].new_zeros(len(rois), self.out_channels, *size)

    def forward(self: nn.Module, inputs: Tensor) -> Any:
        return self._forward(inputs, None)

    model.rpn_head.predict = types.MethodType(predict, model.rpn_head)
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        extractor = getattr(model.roi_head, name, None)
        if extractor is not None:
            extractor.forward = types.MethodType(extract, extractor)
    model.forward = types.MethodType(forward, model)
    return count
