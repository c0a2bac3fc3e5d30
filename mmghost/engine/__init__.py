"""One command line for the three toolboxes, and hooks that keep a training safe."""

from .hooks.exact_resume_hook import ExactResumeHook
from .hooks.finite_hook import FiniteHook
from .hooks.interrupt_hook import InterruptHook
from .hooks.memory_format_hook import ChannelsLastHook
from .hooks.preflight_hook import PreflightHook

__all__ = [
    'ChannelsLastHook',
    'ExactResumeHook',
    'FiniteHook',
    'InterruptHook',
    'PreflightHook',
]
