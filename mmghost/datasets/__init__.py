"""Data sets and what their pictures go through."""

from .shapes import draw_picture, make_shapes
from .transforms import TimmRandAugment

__all__ = ['TimmRandAugment', 'draw_picture', 'make_shapes']
