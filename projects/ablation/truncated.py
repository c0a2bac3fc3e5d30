"""GhostNetV2 as timm's feature extractor has it, to compare the two cuts alone."""

from typing import Any

from torch import Tensor

from mmghost.models import GhostNetV2
from mmghost.models.ghostnet import STAGES
from mmghost.registry import MODELS, register


@register(MODELS)
class TruncatedGhostNetV2(GhostNetV2):
    """GhostNetV2 whose stages end with their first group, where their stride begins.

    The maps are those of timm's ``ghostnetv2_100`` with ``features_only=True``: the one
    of stride 16 comes before the bottlenecks of 112 channels, and nothing follows the
    first bottleneck of stride 32.

    Args:
        *args, **kwargs: As for GhostNetV2, at output stride 32 and without stage 5.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stages = [stage for stage, _ in self.levels]
        first = [stages.index(stage) for stage in range(len(self.stage_channels))]
        del self.blocks[first[-1] + 1 :]
        del self.levels[first[-1] + 1 :]
        for stage in range(len(first)):
            self.stage_channels[stage] = self._scaled(STAGES[stage][0][-1].out)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (N, C, H, W) to a map for each of ``out_indices``."""
        x = self.act1(self.bn1(self.conv_stem(x)))
        outs: dict[int, Tensor] = {}
        for group, (stage, _) in zip(self.blocks, self.levels):
            x = group(x)
            outs.setdefault(stage, x)
        return tuple(outs[stage] for stage in self.out_indices)
