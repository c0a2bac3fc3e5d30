"""The networks and attentions that table 5 of the GhostNetV2 paper compares."""

from .attention import CBAMAttention, CoordAttention, DFCPlugin, SEAttention
from .mobilenetv2 import AttentionMobileNetV2

__all__ = [
    'AttentionMobileNetV2',
    'CBAMAttention',
    'CoordAttention',
    'DFCPlugin',
    'SEAttention',
]
