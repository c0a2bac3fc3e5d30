"""Stand-ins for mmcv's compiled operators, in use only where mmcv has none.

:func:`install` decides, by ``MMGHOST_MMCV_OPS``; mmcv's own Python then works
unchanged on top of them. Nothing here imports torchvision or ``mmcv.ops`` before an
operator is called.
"""

from .extension import PROVIDED, remedy
from .switch import VARIABLE, in_use, install

__all__ = ['PROVIDED', 'VARIABLE', 'in_use', 'install', 'remedy']
