"""Networks and attentions that only the ablations of the GhostNetV2 paper need."""

from .attention import CBAMAttention, CoordAttention, DFCPlugin, SEAttention
from .mobilenetv2 import AttentionMobileNetV2
from .truncated import TruncatedGhostNetV2
from .unshared import UnsharedGhostNetV2

__all__ = [
    'AttentionMobileNetV2',
    'CBAMAttention',
    'CoordAttention',
    'DFCPlugin',
    'SEAttention',
    'TruncatedGhostNetV2',
    'UnsharedGhostNetV2',
]
