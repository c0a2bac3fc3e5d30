"""Datasets: configs for data of your own (``custom``), and generated data (``shapes``)."""

from .shapes import draw_image, make_shapes

__all__ = ['draw_image', 'make_shapes']
