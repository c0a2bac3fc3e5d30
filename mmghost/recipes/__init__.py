"""The ImageNet recipe of the GhostNetV2 release for mmengine.

The release trains with timm. timm's own optimizer, schedule and augmentation are wrapped
here, so using them needs timm; importing this package does not.
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
