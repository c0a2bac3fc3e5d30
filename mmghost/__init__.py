"""GhostNetV2 for OpenMMLab.

Importing this package registers its backbones with mmengine, and puts stand-ins in
place of mmcv's compiled operators where mmcv came without them. It needs torch,
mmengine and mmcv (or mmcv-lite), nothing else.
"""

from . import ops as _ops
from .version import __version__

_ops.install()

from . import datasets, engine, models, weights  # noqa: E402 - they may import mmcv.ops
from .weights import get_model, list_models  # noqa: E402

__all__ = [
    '__version__',
    'datasets',
    'engine',
    'get_model',
    'list_models',
    'models',
    'weights',
]
