"""The network that weights belong to, inferred from their names and shapes."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..models.ghostnet import LAST_CHANNELS, STAGES, STEM_CHANNELS
from ..models.layers import make_divisible

# The published widths first: a small part of a network may fit several.
_WIDTHS = (1.0, 1.3, 1.6, 0.5, 1.1, 1.4, 1.7, *(i / 100 for i in range(10, 401)))

GROUPS = [group for stage in STAGES for group in stage]
LAST_GROUP = len(GROUPS)  # the last 1x1 convolution, `blocks.9`
COUNTER = 'num_batches_tracked'


@dataclass(frozen=True)
class Network:
    """A GhostNet, as far as its weights show."""

    version: int  # 1, 2 or 3; a deployed GhostNetV3 is a GhostNetV2
    width: float | None  # None if the channels are those of no width
    form: str | None  # norms, folded or branches; None if it does not show
    dfc_kernels: tuple[int, ...]
    groups: int  # number of `blocks.S`, counted from the first
    num_classes: int | None  # None without a classifier

    @property
    def name(self) -> str:
        """Version and width."""
        width = 'unknown width' if self.width is None else f'width {self.width}'
        return f'GhostNetV{self.version} of {width}'


def infer_network(state: Mapping[str, Tensor]) -> Network:
    """Infer the network from its weights, by this project's names, or part of them."""
    blocks = {name.split('.')[1] for name in state if name.startswith('blocks.')}
    groups = next(i for i in range(len(blocks) + 1) if str(i) not in blocks)
    kernels = {
        max(value.shape[2:])
        for name, value in state.items()
        if name.endswith('short_conv.2.weight') and value.ndim == 4
    }
    form = 'norms' if 'bn1.weight' in state else None
    if any('.convs.0.' in name for name in state):
        form = 'branches'
    elif 'conv_stem.bias' in state:
        form = 'folded'
    has_dfc = any('.short_conv.' in name for name in state)
    classifier = state.get('classifier.bias')
    return Network(
        version=3 if form == 'branches' else 1 + has_dfc,
        width=_width(state),
        form=form,
        dfc_kernels=tuple(sorted(kernels)),
        groups=groups,
        num_classes=None if classifier is None else classifier.numel(),
    )


def _width(state: Mapping[str, Tensor]) -> float | None:
    # Weights, a dimension that shows the width, and its size at width 1.0.
    shown = [('conv_stem', 0, STEM_CHANNELS)]
    shown.append((f'blocks.{LAST_GROUP}.0.conv', 0, LAST_CHANNELS))
    for g, group in enumerate(GROUPS):
        for b, row in enumerate(group):
            primary = f'blocks.{g}.{b}.ghost2.primary_conv.0'
            shown.append((primary, 1, row.expanded))
            shown.append((f'{primary}.convs.0.conv', 1, row.expanded))
    sizes = [
        (channels, state[f'{name}.weight'].shape[dim])
        for name, dim, channels in shown
        if f'{name}.weight' in state and state[f'{name}.weight'].ndim > dim
    ]
    for width in _WIDTHS if sizes else ():
        if all(make_divisible(channels * width) == size for channels, size in sizes):
            return width
    return None
