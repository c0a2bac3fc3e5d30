"""Weight files of every origin: read, loaded by name or refused, converted, published."""

from ..errors import WeightsError
from .adapting import adapt_checkpoint
from .catalogue import get_model, list_models
from .converting import convert, publish
from .loading import PretrainedGhostNet, Report, load_pretrained

__all__ = [
    'PretrainedGhostNet',
    'Report',
    'WeightsError',
    'adapt_checkpoint',
    'convert',
    'get_model',
    'list_models',
    'load_pretrained',
    'publish',
]
