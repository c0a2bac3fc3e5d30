"""The model that a config describes, built outside a runner."""

from copy import deepcopy

import torch.nn as nn
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope

from .launch import in_plain_words
from ..checks.toolbox import toolbox_of


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config with random weights, whatever its init_cfg says.

    Args:
        cfg: A config of one of the toolboxes; it stays as it is.

    Returns:
        The model for one process: with BN where the config asks for SyncBN, and with
        the config's ``data_preprocessor``, which the runner would give it.

    Raises:
        UserError: If the config must be mended first.
    """
    scope = toolbox_of(cfg).scope
    cfg = deepcopy(cfg)  # changed whole: a message finds in it what was being built
    if isinstance(cfg.model.get('backbone'), dict):
        cfg.model.backbone.init_cfg = None
    if cfg.get('data_preprocessor') is not None:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    init_default_scope(scope)
    with in_plain_words(cfg):
        return revert_sync_batchnorm(MODELS.build(cfg.model))
