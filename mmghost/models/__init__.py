"""What the networks are: ghost module, attention, backbones, classifier."""

from .attention import CBAMAttention, CoordAttention, DFCPlugin, SEAttention
from .classifier import GhostNetClassifier
from .dfc import DFCAttention
from .ghost_module import GhostModule
from .ghostnet import GhostNetV1, GhostNetV2
from .mobilenetv2 import AttentionMobileNetV2

__all__ = [
    'AttentionMobileNetV2',
    'CBAMAttention',
    'CoordAttention',
    'DFCAttention',
    'DFCPlugin',
    'GhostModule',
    'GhostNetClassifier',
    'GhostNetV1',
    'GhostNetV2',
    'SEAttention',
]
