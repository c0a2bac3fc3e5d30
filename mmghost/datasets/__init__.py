"""Data sets and what their pictures go through."""

from .shapes import draw_picture, make_shapes

__all__ = ['draw_picture', 'make_shapes']
