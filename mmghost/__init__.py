"""GhostNet, GhostNetV2 and GhostNetV3 for OpenMMLab.

Importing this package registers its classes with mmengine, and puts stand-ins in place of
mmcv's compiled operators where mmcv has none. It needs torch, mmengine and mmcv or
mmcv-lite.
"""

from . import ops

ops.install()  # before anything imports mmcv.ops

from . import engine, models, recipes, weights  # noqa: E402
from .version import __version__  # noqa: E402
from .weights import get_model, list_models  # noqa: E402

__all__ = [
    '__version__',
    'engine',
    'get_model',
    'list_models',
    'models',
    'recipes',
    'weights',
]
