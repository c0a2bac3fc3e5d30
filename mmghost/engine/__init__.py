"""How networks are trained and evaluated: the doors' logic, and hooks for the runner."""

from .memory_format_hook import ChannelsLastHook
from .preflight_hook import PreflightHook

__all__ = ['ChannelsLastHook', 'PreflightHook']
