"""One command line for the three toolboxes, and hooks that keep a training safe."""

from .hooks import (
    ChannelsLastHook,
    ExactResumeHook,
    FiniteHook,
    InterruptHook,
    PreflightHook,
)

__all__ = [
    'ChannelsLastHook',
    'ExactResumeHook',
    'FiniteHook',
    'InterruptHook',
    'PreflightHook',
]
