"""Random erasing of normalised batches, as the authors' ImageNet recipe has it."""

import math
import random

import torch
from torch import Tensor

# As published (Zhong et al. 2017), with timm's largest area.
AREA = (0.02, 1 / 3)
ASPECT = (0.3, 1 / 0.3)
ATTEMPTS = 10
MODES = ('const', 'rand', 'pixel')


class RandomErasing:
    """Fill a rectangle of some pictures with noise, as timm does.

    It works on pictures that are normalised, where zero is the mean colour and N(0, 1)
    what pixels look like. mmpretrain's transform of the same name works on 8-bit
    pictures, where such noise is cut at black and white.

    Args:
        probability: Part of the pictures that get a rectangle.
        mode: What is in it: ``'const'`` zeros, ``'rand'`` one random colour,
            ``'pixel'`` a random colour for every pixel.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, probability: float = 0.5, mode: str = 'const') -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f'probability={probability}: 0 to 1 fit')
        if mode not in MODES:
            raise ValueError(f'mode={mode!r}: one of {", ".join(MODES)} fits')
        self.probability = probability
        self.mode = mode

    def __call__(self, batch: Tensor) -> Tensor:
        """Erase in place.

        Args:
            batch: Normalised pictures, (N, C, H, W).

        Returns:
            The same batch.
        """
        for picture in batch:
            if random.random() > self.probability:
                continue
            rectangle = self._draw(*picture.shape[1:])
            if rectangle is not None:
                rows, columns = rectangle
                patch = picture[:, rows, columns]
                patch.copy_(self._filling(patch))
        return batch

    def _draw(self, height: int, width: int) -> tuple[slice, slice] | None:
        """Draw a rectangle that leaves some of the picture on both sides."""
        low, high = math.log(ASPECT[0]), math.log(ASPECT[1])
        for _ in range(ATTEMPTS):
            area = random.uniform(*AREA) * height * width
            aspect = math.exp(random.uniform(low, high))
            rows = round(math.sqrt(area * aspect))
            columns = round(math.sqrt(area / aspect))
            if rows < height and columns < width:
                top = random.randint(0, height - rows)
                left = random.randint(0, width - columns)
                return slice(top, top + rows), slice(left, left + columns)
        return None

    def _filling(self, patch: Tensor) -> Tensor:
        shape = patch.shape if self.mode == 'pixel' else (len(patch), 1, 1)
        filling = torch.zeros(shape, dtype=patch.dtype, device=patch.device)
        return filling if self.mode == 'const' else filling.normal_()
