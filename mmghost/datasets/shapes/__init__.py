"""Shapes: a generated data set for detection, segmentation and classification.

Examples:
    >>> from mmghost.datasets.shapes import draw_picture, make_shapes
    >>> picture = draw_picture(seed=0, split='train', index=0)
    >>> shapes = make_shapes('data/shapes', train=200, val=100)
"""

from .classes import Look, parse_classes
from .making import ShapesSet, make_shapes
from .picture import Instance, Picture, draw_picture, draw_single

__all__ = [
    'Instance',
    'Look',
    'Picture',
    'ShapesSet',
    'draw_picture',
    'draw_single',
    'make_shapes',
    'parse_classes',
]
