"""What the networks are: ghost module, DFC attention, backbones, classifier."""

from .classifier import GhostNetClassifier
from .dfc import DFCAttention
from .ghost_module import GhostModule
from .ghostnet import GhostNetV1, GhostNetV2

__all__ = [
    'DFCAttention',
    'GhostModule',
    'GhostNetClassifier',
    'GhostNetV1',
    'GhostNetV2',
]
