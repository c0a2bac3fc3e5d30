"""What network a set of weights belongs to, read from their names and shapes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.ghostnet import (
    LAST_CHANNELS,
    STAGES,
    STEM_CHANNELS,
    GhostNetV2,
    dfc_by_bottleneck,
)
from ..models.layers import Cfg, make_divisible

# The published widths first: a small part of a network may fit several.
_WIDTHS = (1.0, 1.3, 1.6, 0.5, 1.1, 1.4, 1.7, *(i / 100 for i in range(10, 401)))

GROUPS = [group for stage in STAGES for group in stage]
LAST_GROUP = len(GROUPS)  # the last 1x1 convolution, `blocks.9`


@dataclass(frozen=True)
class Network:
    """A GhostNet, as far as its weights tell.

    Args:
        width: ``widen_factor``; None if the channels are those of no width.
        has_dfc: Whether it has DFC attention anywhere: GhostNetV2. (Cut before the third
            bottleneck both versions are the same.)
        dfc_kernels: The kernel sizes of its DFC attention.
        dfc: The choices of its DFC attention that tensors tell; None without.
        groups: How many of the release's ``blocks.S`` it has, from the first on.
        folded: Whether batch norms were folded into the convolutions.
        has_batch_norm: Whether its normalisations have running statistics.
        in_channels: Channels of the pictures.
        num_classes: Of its classifier; None without one.
    """

    width: float | None
    has_dfc: bool
    dfc_kernels: tuple[int, ...]
    dfc: Cfg | None
    groups: int
    folded: bool
    has_batch_norm: bool
    in_channels: int
    num_classes: int | None

    @property
    def name(self) -> str:
        """In words: version and width."""
        version = 'GhostNetV2' if self.has_dfc else 'GhostNetV1'
        return f'{version} of {self.width_name}'

    @property
    def width_name(self) -> str:
        """The width in words."""
        return 'no known width' if self.width is None else f'width {self.width}'


def describe(state: Mapping[str, Tensor]) -> Network:
    """Tell what network weights belong to.

    Args:
        state: The weights by the release's names, or part of them.
    """
    kernels = {
        max(value.shape[2:])
        for name, value in state.items()
        if name.endswith('short_conv.2.weight') and value.ndim == 4
    }
    stem = state.get('conv_stem.weight')
    classifier = state.get('classifier.weight')
    if classifier is not None and classifier.ndim != 2:
        classifier = None
    blocks = {name.split('.')[1] for name in state if name.startswith('blocks.')}
    groups = 0
    while str(groups) in blocks:
        groups += 1
    has_batch_norm = any(name.endswith('running_mean') for name in state)
    return Network(
        width=_width(state),
        has_dfc=any('.short_conv.' in name for name in state),
        dfc_kernels=tuple(sorted(kernels)),
        dfc=_dfc(state),
        groups=groups,
        folded='conv_stem.bias' in state and not has_batch_norm,
        has_batch_norm=has_batch_norm,
        in_channels=stem.shape[1] if stem is not None and stem.ndim == 4 else 0,
        num_classes=None if classifier is None else classifier.shape[0],
    )


def expected(network: Network) -> dict[str, torch.Size]:
    """Tell the weights that the trunk of a network has.

    Args:
        network: Of a known width.

    Returns:
        Shapes by the release's names, without batch counters.

    Raises:
        ValueError: If its DFC attention is none that GhostNetV2 can have.
    """
    with torch.device('meta'):
        trunk = GhostNetV2(
            network.width,
            in_channels=network.in_channels,
            out_indices=stage_of_group(network.groups - 1),
            dfc=network.dfc,
        )
    return {
        name: value.shape
        for name, value in trunk.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }


def stage_of_group(group: int) -> int:
    """Tell which stage the release's ``blocks.S`` belongs to."""
    ends = [sum(map(len, STAGES[: i + 1])) for i in range(len(STAGES))]
    return next((i for i, end in enumerate(ends) if group < end), len(STAGES))


def _dfc(state: Mapping[str, Tensor]) -> Cfg | None:
    """Tell the choices of DFC attention, which are the same all over a stage."""
    places = [
        f'blocks.{g}.{b}.' for g, group in enumerate(GROUPS) for b in range(len(group))
    ]
    kernels, names = {}, []
    for stage in range(len(STAGES)):
        plan = dfc_by_bottleneck(dict(stages=(stage,)))
        inside = tuple(place for place, dfc in zip(places, plan) if dfc)
        found = [n for n in state if '.short_conv.' in n and n.startswith(inside)]
        if found:
            kernels[stage] = _longest(state, found, ('.2.weight', '.4.weight')) or 5
        names += found
    if not names:
        return None
    dfc: Cfg = dict(stages=tuple(kernels), kernel_size=tuple(kernels.values()))
    if any('.ghost2.' in name for name in names):
        expanded = any('.ghost1.' in name for name in names)
        dfc['position'] = 'both' if expanded else 'output'
    if any('.reduce.' in name for name in names):
        dfc['downsample'] = 'conv'
        dfc['ratio'] = _longest(state, names, ('.reduce.0.weight',))
    return dfc


def _longest(
    state: Mapping[str, Tensor], names: list[str], endings: tuple[str, ...]
) -> int | None:
    """The longest side of the kernels of some names; None where there are none."""
    sides = [
        max(state[n].shape[2:])
        for n in names
        if n.endswith(endings) and state[n].ndim == 4
    ]
    return max(sides, default=None)


def _width(state: Mapping[str, Tensor]) -> float | None:
    sizes = [
        (base, halved, state[name].shape[dim])
        for name, dim, base, halved in _channels()
        if name in state and state[name].ndim > dim
    ]
    for width in _WIDTHS if sizes else ():
        if all(
            size == (math.ceil(scaled / 2) if halved else scaled)
            for base, halved, size in sizes
            for scaled in [make_divisible(base * width)]
        ):
            return width
    return None


def _channels() -> Iterator[tuple[str, int, int, bool]]:
    """Name dimensions that tell the width.

    Yields:
        A weight, its dimension, that dimension at width 1.0 and whether it is half.
    """
    yield 'conv_stem.weight', 0, STEM_CHANNELS, False
    for g, group in enumerate(GROUPS):
        for b, row in enumerate(group):
            block = f'blocks.{g}.{b}'
            yield f'{block}.ghost1.primary_conv.0.weight', 0, row.expanded, True
            yield f'{block}.ghost2.primary_conv.0.weight', 0, row.out, True
            yield f'{block}.ghost2.primary_conv.0.weight', 1, row.expanded, False
    yield f'blocks.{LAST_GROUP}.0.conv.weight', 0, LAST_CHANNELS, False
