"""GhostNet with its ImageNet classifier, by the names of the release and of timm."""

from typing import Any

import torch.nn as nn
from torch import Tensor

from .ghostnet import GhostNet

HEAD_CHANNELS = 1280  # not scaled by the width


class GhostNetClassifier(GhostNet):
    """GhostNetV2 from image to logits; V1 with ``dfc=None``, V3 with ``branches=3``.

    Args:
        widen_factor: Width multiplier.
        num_classes: Number of logits.
        dropout: Dropout rate before the last layer.
        deploy: Build it with batch norms folded.
        **kwargs: Other arguments of :class:`mmghost.models.GhostNetV2`, except
            ``out_indices``.

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
        dropout: float = 0.2,
        deploy: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(widen_factor, out_indices=5, **kwargs)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.conv_head = nn.Conv2d(self.out_channels[0], HEAD_CHANNELS, 1)
        self.act2 = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(HEAD_CHANNELS, num_classes)
        if deploy:
            self.switch_to_deploy()

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.global_pool(super().forward(x)[0])
        x = self.act2(self.conv_head(x)).flatten(1)
        return self.classifier(self.dropout(x))
