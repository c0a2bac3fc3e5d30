"""A config for data of your own: from a folder to a training in one step.

- ``finding``: where labels, images and names of classes are;
- ``labels``: labels of COCO, VOC, YOLO and labelme as one COCO JSON;
- ``label_maps``: pairs of images and label maps, and their values;
- ``planning``: input size, batch, epochs and anchors for the data and the machine;
- ``making``: :func:`new_config`, which fills one of the ``templates``.
"""

from .making import Choices, new_config

__all__ = ['Choices', 'new_config']
