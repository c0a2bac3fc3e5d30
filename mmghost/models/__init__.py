"""The networks: ghost module, DFC attention, backbones, classifier."""

from .classifier import GhostNetClassifier
from .dfc import DFCAttention
from .ghostnet import GhostModule, GhostNetV1, GhostNetV2, GhostNetV3

__all__ = [
    'DFCAttention',
    'GhostModule',
    'GhostNetClassifier',
    'GhostNetV1',
    'GhostNetV2',
    'GhostNetV3',
]
