"""What the recipes do to pictures and the toolboxes do not, or do differently."""

from .rand_augment import TimmRandAugment
from .random_erasing import RandomErasing

__all__ = ['RandomErasing', 'TimmRandAugment']
