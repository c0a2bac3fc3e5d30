"""How networks are trained and evaluated: the doors' logic, and parts for the runner."""

from .averaging import TimmEMA
from .memory_format_hook import ChannelsLastHook
from .optim_wrappers import AutoAmpOptimWrapper, MergedGroupsConstructor
from .optimizers import RMSpropTF
from .preflight_hook import PreflightHook
from .schedules import NoisyStepLR, NoisyStepMomentum

__all__ = [
    'AutoAmpOptimWrapper',
    'ChannelsLastHook',
    'MergedGroupsConstructor',
    'NoisyStepLR',
    'NoisyStepMomentum',
    'PreflightHook',
    'RMSpropTF',
    'TimmEMA',
]
