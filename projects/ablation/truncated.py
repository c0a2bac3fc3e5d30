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
        **kwargs: As for GhostNetV2, without ``output_stride`` and without stage 5.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(output_stride=32, **kwargs)
        stages = [stage for stage, _ in self.levels]
        end = stages.index(stages[-1]) + 1
        del self.blocks[end:], self.levels[end:]
        firsts = (groups[0][-1] for groups in STAGES[: stages[-1] + 1])
        self.stage_channels = [self._scaled(row.out) for row in firsts]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (N, C, H, W) to a map for each of ``out_indices``."""
        x = self.act1(self.bn1(self.conv_stem(x)))
        outs: dict[int, Tensor] = {}
        for group, (stage, _) in zip(self.blocks, self.levels):
            x = group(x)
            outs.setdefault(stage, x)
        return tuple(outs[stage] for stage in self.out_indices)
