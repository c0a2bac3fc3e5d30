"""The ImageNet recipe of the GhostNetV2 release for mmengine.

timm's own optimizer, schedule and augmentation, wrapped: using them needs timm.
"""

from .optimizers import AutoAmpOptimWrapper, MergedGroupsConstructor, RMSpropTF, TimmEMA
from .schedules import NoisyStepLR, NoisyStepMomentum
from .transforms import TimmRandAugment

__all__ = [
    'AutoAmpOptimWrapper',
    'MergedGroupsConstructor',
    'NoisyStepLR',
    'NoisyStepMomentum',
    'RMSpropTF',
    'TimmEMA',
    'TimmRandAugment',
]
