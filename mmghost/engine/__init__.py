"""How networks are trained and evaluated: the doors' logic, and hooks for the runner."""

from .preflight_hook import PreflightHook

__all__ = ['PreflightHook']
