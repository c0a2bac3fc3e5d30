"""How networks are trained and evaluated: the doors' logic, and parts for the runner."""

from .averaging import TimmEMA
from .exact_resume_hook import ExactResumeHook
from .finite_hook import FiniteHook
from .interrupt_hook import InterruptHook
from .memory_format_hook import ChannelsLastHook
from .optim_wrappers import AutoAmpOptimWrapper, MergedGroupsConstructor
from .optimizers import RMSpropTF
from .preflight_hook import PreflightHook
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
