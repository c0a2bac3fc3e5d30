"""Hooks that keep a training safe, and the memory format."""

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
