"""RandAugment of the ImageNet recipe, timm's ``rand-m9-mstd0.5``."""

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from ..registry import TRANSFORMS, register


@register(TRANSFORMS)
class TimmRandAugment(BaseTransform):
    """timm's RandAugment as an mmcv transform.

    mmpretrain's RandAugment ``timm_increasing`` is another one: timm's ``inc1`` policy
    with the arithmetic of OpenCV. Modified key: ``img``, (H, W, 3), BGR, uint8.

    Args:
        magnitude: Strength, 0 to 10.
        magnitude_std: Standard deviation of the strength, drawn for every operation.
        num_ops: Operations per image, drawn with replacement.
        prob: Probability that a drawn operation is applied.
        fill: RGB color of what shears, shifts and rotations uncover.
    """

    def __init__(
        self,
        magnitude: float = 9,
        magnitude_std: float = 0.5,
        num_ops: int = 2,
        prob: float = 0.5,
        fill: tuple[int, int, int] = (124, 116, 104),
    ) -> None:
        from timm.data.auto_augment import RandAugment, rand_augment_ops

        hparams = dict(magnitude_std=magnitude_std, img_mean=tuple(fill))
        ops = rand_augment_ops(magnitude, prob, hparams)
        self.augment = RandAugment(ops, num_ops)

    def transform(self, results: dict) -> dict:
        """Augment ``results['img']``."""
        image = Image.fromarray(np.ascontiguousarray(results['img'][..., ::-1]))
        results['img'] = np.asarray(self.augment(image))[..., ::-1]
        return results
