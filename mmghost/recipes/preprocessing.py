"""mmpretrain's data preprocessor with timm's random erasing after normalization.

It needs mmpretrain. Configs that use it list this module in ``custom_imports``.
"""

from mmpretrain.models import ClsDataPreprocessor

from ..registry import MODELS, register


@register(MODELS)
class ErasingDataPreprocessor(ClsDataPreprocessor):
    """Normalize a batch and, in training, erase rectangles of some of its images.

    Erased pixels become N(0, 1) noise, like normalized pixels. mmpretrain's
    RandomErasing works on uint8 images, where this noise is clipped.

    Args:
        *args: Arguments of ClsDataPreprocessor.
        erasing: ``probability``, ``mode`` and further arguments of timm's
            ``RandomErasing``. None for no erasing.
        **kwargs: Arguments of ClsDataPreprocessor.
    """

    def __init__(self, *args, erasing: dict | None = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.erasing = None
        if erasing is not None:
            from timm.data.random_erasing import RandomErasing

            self.erasing = RandomErasing(**erasing)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return the batch with normalized ``inputs``, (N, C, H, W)."""
        data = super().forward(data, training)
        if training and self.erasing is not None:
            self.erasing.device = data['inputs'].device
            self.erasing(data['inputs'])
        return data
