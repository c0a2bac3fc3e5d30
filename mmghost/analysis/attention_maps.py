"""What DFC attention does with a picture: gates, and what a position draws on.

How figure 6 of the GhostNetV2 paper was computed is not published. What is computed here
is defined in docs/ablations.md and by the functions below, and is this project's own.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import mmcv
import numpy as np
import torch
import torch.nn as nn
from mmengine.config import Config
from torch import Tensor

from ..checks.toolbox import takes_rgb
from ..errors import UserError
from ..models import DFCAttention
from ..models.ghost_module import GhostModule
from .config_costs import default_shape


class StageMaps(NamedTuple):
    """The attention of all blocks that work at one stride.

    Attributes:
        stride: Of the map that is gated, in px of the picture.
        blocks: How many DFC modules there are.
        gate: Mean gate of each position over channels and blocks, (h, w), where h and w
            are those of the reduced map that the attention works on.
        query: Row and column of the query position in that map; None without a query.
        drawn: How much the query's attention draws on each position, (h, w), with a sum
            of 1; None without a query.
    """

    stride: int
    blocks: int
    gate: np.ndarray
    query: tuple[int, int] | None = None
    drawn: np.ndarray | None = None


def read_picture(
    path: str, cfg: Config, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """Read a picture and scale it to what a config's model is tested on.

    Args:
        path: The file.
        cfg: The config.
        shape: The size, height and width in px, that the picture must fit into; None
            for the config's own (:func:`default_shape`). The sides' ratio is kept.

    Returns:
        The picture in RGB, (H, W, 3).
    """
    image = mmcv.imread(path, channel_order='rgb')
    return mmcv.imrescale(image, tuple(shape or default_shape(cfg)))


def query_fraction(path: str, x: float, y: float) -> tuple[float, float]:
    """Turn a position in px of a picture into fractions of its height and width.

    Args:
        path: The picture.
        x: From its left side, in px.
        y: From its upper side, in px.

    Returns:
        Row and column in [0, 1), as :func:`stage_maps` takes them.

    Raises:
        UserError: If the position is not in the picture.
    """
    height, width = mmcv.imread(path).shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        raise UserError(
            f'position {x:g} {y:g}: {path} has {width} x {height} px (width x height)'
        )
    return y / height, x / width


def undilate(cfg: Config) -> None:
    """Set the output stride of a config's backbone to 32, in place.

    The attention is the same then, and its maps are whole (docs/segmentation.md).
    """
    if cfg.model.backbone.get('output_stride', 32) != 32:
        cfg.model.backbone.output_stride = 32


def to_input(image: np.ndarray, model: nn.Module) -> Tensor:
    """Normalise a picture as a model's data preprocessor does.

    Args:
        image: RGB, (H, W, 3).
        model: A model of one of the toolboxes.

    Returns:
        (1, 3, H, W), on the model's device.
    """
    parameter = next(model.parameters())
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    x = x.to(parameter.device, parameter.dtype)
    preprocessor = getattr(model, 'data_preprocessor', None)
    mean = getattr(preprocessor, 'mean', None)
    if mean is None:
        return x
    std = preprocessor.std
    if not takes_rgb(preprocessor):
        x = x.flip(1)
    return (x - mean.view(-1, 1, 1).to(x)) / std.view(-1, 1, 1).to(x)


@contextmanager
def _inputs_of_dfc(model: nn.Module) -> Iterator[dict[DFCAttention, Tensor]]:
    """Note what each DFC attention of a model is computed from."""
    inputs: dict[DFCAttention, Tensor] = {}

    def note(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        # A ghost module may compute its gate without calling the attention as a module.
        dfc = module.short_conv if isinstance(module, GhostModule) else module
        if dfc is not None:
            inputs[dfc] = arguments[0].detach()

    hooks = [
        module.register_forward_pre_hook(note)
        for module in model.modules()
        if isinstance(module, GhostModule | DFCAttention)
    ]
    try:
        yield inputs
    finally:
        for hook in hooks:
            hook.remove()


def stage_maps(
    backbone: nn.Module, x: Tensor, query: tuple[float, float] | None = None
) -> list[StageMaps]:
    """Compute gates and the attention of a query position, stride by stride.

    The gate of a position is the sigmoid (or whatever the gate is) that DFC multiplies
    the features there with, before up-sampling, averaged over channels and over the
    blocks of the stride.

    What the query draws on is the share of each position in the attention of the query:
    the vertical kernel's weight times the horizontal kernel's weight times the value
    there, behind the 1x1 convolution (with the normalisations' scales), as an absolute
    value, averaged over channels and blocks and made to sum to 1. The weights are taken
    by automatic differentiation through both kernels, so that they are exact.

    Args:
        backbone: A network with DFC attention, in evaluation mode, at output stride 32.
        x: One picture, (1, C, H, W), normalised.
        query: Row and column of the query position, as fractions of the height and the
            width in [0, 1).

    Returns:
        One item for each stride, in the order of the network.

    Raises:
        UserError: If the network has no DFC attention, or the query is off the picture.
    """
    if query is not None and not all(0 <= part < 1 for part in query):
        raise UserError('the query position is not in the picture')
    with torch.no_grad(), _inputs_of_dfc(backbone) as inputs:
        backbone(x)
    if not inputs:
        raise UserError(
            'the model has no DFC attention: it is that of GhostNetV2, and of networks '
            'that carry DFCAttention or DFCPlugin'
        )
    by_stride: dict[int, list[tuple[DFCAttention, Tensor]]] = {}
    for dfc, features in inputs.items():
        if len(features) != len(x):
            raise UserError(
                'the attention of a dilated network is spread over phases: build it with '
                'output_stride=32, whose attention is the same (docs/segmentation.md)'
            )
        # A power of two; sides that it does not divide are rounded up to whole pixels.
        ratio = max(x.shape[2:]) / max(features.shape[2:])
        stride = 2 ** round(math.log2(ratio))
        by_stride.setdefault(stride, []).append((dfc, features))
    return [
        _stage(stride, members, query) for stride, members in sorted(by_stride.items())
    ]


def _stage(
    stride: int,
    members: list[tuple[DFCAttention, Tensor]],
    query: tuple[float, float] | None,
) -> StageMaps:
    with torch.no_grad():
        gates = [dfc.gate(dfc.logits(x))[0].mean(0) for dfc, x in members]
    gate = torch.stack(gates).mean(0).float().cpu().numpy()
    if query is None:
        return StageMaps(stride, len(members), gate)
    position = tuple(int(part * side) for part, side in zip(query, gate.shape))
    drawn = torch.stack([drawn_on(dfc, x, position) for dfc, x in members]).mean(0)
    return StageMaps(stride, len(members), gate, position, drawn.float().cpu().numpy())


def drawn_on(dfc: DFCAttention, x: Tensor, position: tuple[int, int]) -> Tensor:
    """Tell what one position of a DFC attention draws on.

    Args:
        dfc: The attention.
        x: Its input, (1, C, H, W).
        position: Row and column in its reduced map.

    Returns:
        (h, w) of the reduced map, with a sum of 1: absolute contributions to the
        position's attention before the gate, averaged over channels.
    """
    with torch.no_grad():
        values = dfc[1](dfc[0](dfc._down(x)))
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        out = values
        for layer in list(dfc)[2:6]:
            out = layer(out)
        (weights,) = torch.autograd.grad(
            out[0, :, position[0], position[1]].sum(), values
        )
    drawn = (weights * values.detach())[0].abs().mean(0)
    return drawn / drawn.sum().clamp(min=torch.finfo(drawn.dtype).tiny)
