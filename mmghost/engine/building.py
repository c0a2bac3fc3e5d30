"""The model that a config describes, built outside a runner."""

from copy import deepcopy

import torch.nn as nn
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope

from ..checks.toolbox import scope_of


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config for one process, without loading its weights.

    SyncBN becomes BN, and the model gets the config's ``data_preprocessor``, as from the
    runner. The config stays as it is.

    Args:
        cfg: A config of one of the toolboxes.
    """
    init_default_scope(scope_of(cfg))
    model = deepcopy(cfg.model)  # detectors write into their parts
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    return revert_sync_batchnorm(MODELS.build(model))
