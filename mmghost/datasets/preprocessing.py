"""mmpretrain's data preprocessor with random erasing behind the normalisation.

This module needs mmpretrain. A config that uses it names it in ``custom_imports``.
"""

from mmpretrain.models import ClsDataPreprocessor

from ..registry import MODELS, register
from .transforms import RandomErasing


@register(MODELS)
class ErasingDataPreprocessor(ClsDataPreprocessor):
    """Normalise a batch, and in training erase rectangles of some of its pictures.

    Args:
        *args: Arguments of ClsDataPreprocessor.
        erasing: Arguments of :class:`RandomErasing`; None for no erasing.
        **kwargs: Further arguments of ClsDataPreprocessor.
    """

    def __init__(self, *args, erasing: dict | None = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.erasing = None if erasing is None else RandomErasing(**erasing)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: What the data loader gave.
            training: Whether to augment.

        Returns:
            The same with normalised ``inputs``, (N, C, H, W).
        """
        data = super().forward(data, training)
        if training and self.erasing is not None:
            self.erasing(data['inputs'])
        return data
