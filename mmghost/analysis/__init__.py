"""Figures about models: costs, latency, attention maps. Functions return data."""

from .complexity import Complexity, complexity

__all__ = ['Complexity', 'complexity']
