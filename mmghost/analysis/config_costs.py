"""What the model of a config costs: parameters and multiply-accumulates, without data."""

import types
from typing import Any, NamedTuple

import torch.nn as nn
from mmengine.config import Config
from torch import Tensor

from ..engine.building import build_model
from ..checks.config import crop_size
from ..engine.launch import innermost
from ..checks.toolbox import toolbox_of, type_name
from ..errors import UserError
from .complexity import Complexity, complexity

# What the toolboxes' own tools take where a config says nothing of sizes.
DEFAULT_SHAPES = {'mmdet': (800, 1344), 'mmseg': (512, 512), 'mmpretrain': (224, 224)}


class ConfigCost(NamedTuple):
    """What the model of a config costs for one picture.

    Attributes:
        shape: Height and width of the picture in px.
        backbone: Cost of the backbone alone; None where the model has none.
        whole: Cost of the model as it predicts; an auxiliary head that only trains
            counts with its parameters.
        proposals: Of a two-stage detector, how many proposals its head was given.
    """

    shape: tuple[int, int]
    backbone: Complexity | None
    whole: Complexity
    proposals: int | None = None


def config_cost(cfg: Config, shape: tuple[int, int] | None = None) -> ConfigCost:
    """Count parameters and multiply-accumulates of a config's model.

    Convolutions and linear layers are counted, as in the papers (see
    :class:`Complexity`); what a detector does after its last convolution is not. The
    head of a two-stage detector is given as many proposals as it takes at most.

    Args:
        cfg: A config of one of the toolboxes; neither data nor weights are needed.
        shape: Height and width of the picture in px; None for :func:`default_shape`.

    Returns:
        The costs.

    Raises:
        UserError: If the model cannot be built or does not take the shape.
    """
    shape = tuple(shape or default_shape(cfg))
    try:
        try:  # counting needs sizes only, and on the meta device nothing is computed
            return _count(build_model(cfg).eval().to('meta'), shape)
        except NotImplementedError:  # of layers that have no meta form
            return _count(build_model(cfg).eval(), shape)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f'the model of {cfg.filename} does not take pictures of {shape[0]} x '
            f'{shape[1]} px (height x width): {error}'
        ) from error


def _count(model: nn.Module, shape: tuple[int, int]) -> ConfigCost:
    proposals = None
    if hasattr(model, 'rpn_head') and hasattr(model, 'roi_head'):
        proposals = _give_proposals(model)
    backbone = getattr(model, 'backbone', None)
    channels = in_channels(model)
    return ConfigCost(
        shape,
        backbone and complexity(backbone, shape, channels),
        complexity(model, shape, channels),
        proposals,
    )


def in_channels(model: nn.Module) -> int:
    """Tell how many channels a model's pictures have, from its first convolution."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return 3


def default_shape(cfg: Config) -> tuple[int, int]:
    """Read from a config how large the pictures are that its model is tested on.

    Args:
        cfg: The config.

    Returns:
        Height and width in px: of the last crop or resize in the test pipeline, the
        shorter side as the height; rounded up to what the model pads to. Of a
        segmentor, the size that it is trained on, at which the zoo counts too.
    """
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    preprocessor = preprocessor or {}
    crop = crop_size(cfg) if toolbox_of(cfg).scope == 'mmseg' else None
    if crop is not None:
        return crop
    size: Any = None
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    for step in innermost(loader['dataset']).get('pipeline', []) if loader else []:
        kind = type_name(step.get('type'))
        if 'crop_size' in step or (kind == 'Resize' and 'scale' in step):
            size = step.get('crop_size', step.get('scale'))
    if size is None:
        return DEFAULT_SHAPES[toolbox_of(cfg).scope]
    height, width = sorted((size, size) if isinstance(size, int) else size)
    divisor = preprocessor.get('pad_size_divisor') or 1
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def _give_proposals(model: nn.Module) -> int:
    """Have a two-stage detector's first stage propose as much as it may.

    How many proposals survive NMS depends on weights and picture; a cost must not. What
    is cut out for them has the size that it always has, and no multiplications that
    count.

    Args:
        model: The detector, changed in place.

    Returns:
        The number of proposals.
    """
    from mmengine.structures import InstanceData

    count = model.test_cfg.rpn.max_per_img

    def predict(self: nn.Module, x: Any, *_args: Any, **_kwargs: Any) -> list:
        self(x)
        return [InstanceData(bboxes=x[0].new_zeros(count, 4))]

    def cut(self: nn.Module, x: Any, rois: Tensor, *_args: Any) -> Tensor:
        size = self.roi_layers[0].output_size
        return x[0].new_zeros(len(rois), self.out_channels, *size)

    def forward(self: nn.Module, inputs: Tensor) -> Any:
        return self._forward(inputs, None)

    model.rpn_head.predict = types.MethodType(predict, model.rpn_head)
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        extractor = getattr(model.roi_head, name, None)
        if extractor is not None:
            extractor.forward = types.MethodType(cut, extractor)
    model.forward = types.MethodType(forward, model)
    return count
