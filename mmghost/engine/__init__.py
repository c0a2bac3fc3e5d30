"""How networks are trained and evaluated: the doors' logic, and parts for the runner."""

from .averaging import TimmEMA
from .hooks import (
    ChannelsLastHook,
    ExactResumeHook,
    FiniteHook,
    InterruptHook,
    PreflightHook,
)
from .optim_wrappers import AutoAmpOptimWrapper, MergedGroupsConstructor
from .optimizers import RMSpropTF
from .schedules import NoisyStepLR, NoisyStepMomentum
from .sync_bn import CPUSyncBN, CPUSyncDataParallel

__all__ = [
    'AutoAmpOptimWrapper',
    'CPUSyncBN',
    'CPUSyncDataParallel',
    'ChannelsLastHook',
    'ExactResumeHook',
    'FiniteHook',
    'InterruptHook',
    'MergedGroupsConstructor',
    'NoisyStepLR',
    'NoisyStepMomentum',
    'PreflightHook',
    'RMSpropTF',
    'TimmEMA',
]
