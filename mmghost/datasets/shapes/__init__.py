"""Shapes: a generated dataset for detection, segmentation and classification.

Example:
    >>> from mmghost.datasets.shapes import draw_image, make_shapes
    >>> drawing = draw_image(seed=0, split='train', index=0)
    >>> shapes = make_shapes('data/shapes', train=200, val=100)
"""

from .classes import parse_classes
from .drawing import Drawing, Instance, draw_image
from .making import ShapesSet, make_shapes

__all__ = [
    'Drawing',
    'Instance',
    'ShapesSet',
    'draw_image',
    'make_shapes',
    'parse_classes',
]
