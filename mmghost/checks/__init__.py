"""What a config or its data will fail at, said before a training starts."""

from .datasets import check_dataset
from .preflight import build_datasets, preflight
from .problems import Problem, raise_if_fatal

__all__ = ['Problem', 'build_datasets', 'check_dataset', 'preflight', 'raise_if_fatal']
