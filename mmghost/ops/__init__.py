"""Stand-ins for mmcv's compiled operators, used only where mmcv has none.

mmcv's own Python (``mmcv.ops.RoIAlign``, ``mmcv.ops.batched_nms``, ...) runs unchanged
on top of them. Neither torchvision nor ``mmcv.ops`` is imported before it is used.
"""

from .extension import PROVIDED, VARIABLE, in_use, install

__all__ = ['PROVIDED', 'VARIABLE', 'in_use', 'install']
