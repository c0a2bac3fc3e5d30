"""Reading, checking, renaming and writing checkpoints of every origin."""

from . import adapting
from .adapting import adapt_checkpoint
from .catalogue import list_models
from .converting import convert
from .errors import WeightsError
from .loading import Report, load_pretrained
from .publishing import publish
from .zoo import get_model

adapting.register()

__all__ = [
    'Report',
    'WeightsError',
    'adapt_checkpoint',
    'convert',
    'get_model',
    'list_models',
    'load_pretrained',
    'publish',
]
