"""LR-ASPP for maps of any size. Importing this module needs mmsegmentation.

Configs that use it name this module in ``custom_imports``.
"""

from typing import Any

import torch.nn as nn
from mmseg.models.decode_heads import LRASPPHead

from ..registry import MODELS, register


@register(MODELS)
class GlobalLRASPPHead(LRASPPHead):
    """LR-ASPP head of mmseg with the average over the whole map.

    mmseg averages windows of 49x49, as the paper does (`Searching for MobileNetV3
    <https://arxiv.org/abs/1905.02244>`_, section 6.4), and fails on smaller maps: at
    output stride 16 on images of less than 784 px. The arguments are those of mmseg's.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_pool[0] = nn.AdaptiveAvgPool2d(1)
