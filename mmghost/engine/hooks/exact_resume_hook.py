"""A hook that makes a resumed training end in the numbers of an uninterrupted one."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import get_worker_info

from ...registry import HOOKS, register


@register(HOOKS)
class ExactResumeHook(Hook):
    """Seed each sample and each iteration by its place in the training.

    mmengine seeds once. What augmentation and dropout draw then depends on all that was
    drawn before, which no checkpoint holds. With this hook a resumed training draws what
    an uninterrupted one draws, and a sample is augmented differently in each epoch, also
    by workers that are started anew.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        # Shared with the workers, which may live through all epochs.
        self.epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def before_train(self, runner: Runner) -> None:
        """Put a seeding step in front of every pipeline.

        Workers that a training by iterations started before keep theirs; there mmengine
        runs through the data up to the place where it resumes, so the result is the same.
        """
        step = SeedSample(runner.seed, get_rank(), self.epoch)
        for transforms in pipelines(runner.train_dataloader.dataset):
            if not isinstance(transforms[0], SeedSample):
                transforms.insert(0, step)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers which epoch it is."""
        self.epoch.fill_(runner.epoch)

    def before_train_iter(self, runner: Runner, **_: Any) -> None:
        """Seed what the network draws: dropout, drop path, sampled boxes."""
        seed_everything(runner.seed, get_rank(), runner.iter, 0)


class SeedSample:
    """A transform that seeds the ones after it.

    Args:
        seed: The seed of the training.
        rank: The process.
        epoch: One number, shared with the process that counts the epochs.
    """

    def __init__(self, seed: int, rank: int, epoch: torch.Tensor) -> None:
        self.seed = seed
        self.rank = rank
        self.epoch = epoch
        self._count = 0
        self._counted = -1

    def __call__(self, results: dict) -> dict:
        """Seed by the epoch and the number of the sample in this worker."""
        epoch = int(self.epoch)
        if epoch != self._counted:
            self._count, self._counted = 0, epoch
        self._count += 1
        info = get_worker_info()
        worker = 0 if info is None else info.id + 1
        seed_everything(self.seed, self.rank, epoch, self._count, worker)
        return results


def seed_everything(*numbers: int) -> None:
    """Seed Python, NumPy and torch from several numbers, well mixed."""
    words = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.manual_seed(int(words[2]))


def pipelines(dataset: Any) -> Iterator[list]:
    """Yield the lists of transforms in a dataset and its wrappers."""
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', None)
    if transforms:
        yield transforms
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for one in inner:
        if one is not None:
            yield from pipelines(one)
