"""GhostNet with its ImageNet classifier, for people and tests outside a config.

In mmpretrain's configs the classifier is a backbone, a neck and a head; this one is a
single module whose state dict is, key by key, that of the authors' release and of timm.
"""

import torch
import torch.nn as nn
from torch import Tensor

from .arguments import check_bool, check_int, check_number
from .ghostnet import RELEASE_DFC, GhostNet
from .layers import Cfg
from .stepping import run

# Not scaled by the width, in the release's code too.
HEAD_CHANNELS = 1280


class GhostNetClassifier(GhostNet):
    """GhostNetV2 (or V1, with ``dfc=None``) from picture to logits.

    Args:
        widen_factor: Width multiplier.
        num_classes: Number of logits.
        dfc: As in :class:`mmghost.models.GhostNetV2`; None is GhostNetV1.
        dropout: Dropout before the last layer.
        deploy: As there.
        **kwargs: The other arguments of the backbone; ``out_indices`` is not one.

    Raises:
        TypeError, ValueError: If an argument is wrong. The message names it, its value
            and what is allowed.

    Example:
        >>> import torch
        >>> from mmghost.models import GhostNetClassifier
        >>> GhostNetClassifier(1.3).eval()(torch.rand(1, 3, 224, 224)).shape
        torch.Size([1, 1000])
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        num_classes: int = 1000,
        dfc: Cfg | None = RELEASE_DFC,
        dropout: float = 0.2,
        deploy: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(widen_factor=widen_factor, out_indices=5, dfc=dfc, **kwargs)
        check_int('num_classes', num_classes, 1, 2**20)
        check_number('dropout', dropout, 0, 1)
        check_bool('deploy', deploy)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.conv_head = nn.Conv2d(self.out_channels[0], HEAD_CHANNELS, 1)
        self.act2 = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(HEAD_CHANNELS, num_classes)
        if deploy:  # not by the backbone's constructor, which knows no head
            self.switch_to_deploy()

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.forward_trunk(x)[0]
        if not torch.jit.is_scripting() and self._steps(x):
            x = self._pooled(x)
        else:
            x = self.act2(self.conv_head(self.global_pool(x)))
        return self.classifier(self.dropout(x.flatten(1)))

    @torch.jit.unused
    def _pooled(self, x: Tensor) -> Tensor:
        return run(x, self.global_pool, self.conv_head, self.act2)
