"""Data of one's own: from a folder to a config that trains, in one step.

What lives here:

- ``forms``: which form the data have (COCO, VOC, YOLO, folders), and where its pictures are;
- ``conversion``: VOC and YOLO labels into COCO's form;
- ``objects``: what is in annotations: sizes, classes without objects, odd boxes;
- ``anchors``: how well anchors fit the boxes, and which fit better;
- ``plan``: input size, batch and schedule for the data and the machine at hand;
- ``writing``: the config's text;
- ``making``: all of it, one after the other: :func:`new_config`.
"""

from .making import new_config

__all__ = ['new_config']
