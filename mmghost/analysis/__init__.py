"""Figures about models: costs, latency, attention maps. Functions return data."""

from .complexity import Complexity, complexity
from .curves import Curves, draw_curves, read_curves

__all__ = ['Complexity', 'Curves', 'complexity', 'draw_curves', 'read_curves']
