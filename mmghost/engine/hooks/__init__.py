"""Hooks of mmengine's runner: what a training survives, and what a recipe needs."""

from .exact_resume_hook import ExactResumeHook
from .finite_hook import FiniteHook
from .interrupt_hook import InterruptHook
from .memory_format_hook import ChannelsLastHook
from .preflight_hook import PreflightHook

__all__ = [
    'ChannelsLastHook',
    'ExactResumeHook',
    'FiniteHook',
    'InterruptHook',
    'PreflightHook',
]
