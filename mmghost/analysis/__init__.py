"""Cost and DFC maps of a model: functions that return data."""

from .attention_maps import AttentionMaps, attention_maps
from .complexity import Complexity, complexity
from .config_costs import ConfigCost, config_cost, default_shape

__all__ = [
    'AttentionMaps',
    'Complexity',
    'ConfigCost',
    'attention_maps',
    'complexity',
    'config_cost',
    'default_shape',
]
