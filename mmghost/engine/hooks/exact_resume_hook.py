"""A hook that makes a resumed training end in the numbers of an uninterrupted one."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from torch.utils.data import BatchSampler, DataLoader, get_worker_info

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

        Trainings by iterations: where mmengine cannot skip what was seen, it runs through
        the data up to there, and so do the numbers drawn, also of workers that older
        versions start before this hook.
        """
        loader = runner.train_dataloader
        size = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', 1)
        skipped = runner.iter if skips_unread(runner.train_loop, loader) else 0
        step = SeedSample(runner.seed, get_rank(), self.epoch, size, skipped)
        for transforms in pipelines(loader.dataset):
            if not isinstance(transforms[0], SeedSample):
                transforms.insert(0, step)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers which epoch it is."""
        self.epoch.fill_(runner.epoch)

    def before_train_iter(self, runner: Runner, **_: Any) -> None:
        """Seed what the network draws: dropout, drop path, sampled boxes."""
        seed_everything(runner.seed, get_rank(), runner.iter, 0)


@dataclass
class SeedSample:
    """A transform that seeds the ones after it."""

    seed: int  # of the training
    rank: int  # the process
    epoch: torch.Tensor  # one number, shared with the process that counts the epochs
    batch_size: int = 1  # samples that a worker loads before it is another's turn
    skipped: int = 0  # batches that were seen before the workers started
    _count = 0
    _counted = -1

    def __call__(self, results: dict) -> dict:
        """Seed by the epoch, worker and number of the sample, as if nothing was skipped."""
        epoch = int(self.epoch)
        if epoch != self._counted:
            self._count, self._counted = 0, epoch
        info = get_worker_info()
        workers, worker = (1, 0) if info is None else (info.num_workers, info.id)
        own, place = divmod(self._count, self.batch_size)
        self._count += 1
        # Workers take turns, so the batch would have been another one's.
        turn, worker = divmod(self.skipped + own * workers + worker, workers)
        count = turn * self.batch_size + place + 1
        worker = 0 if info is None else worker + 1
        seed_everything(self.seed, self.rank, epoch, count, worker)
        return results


def seed_everything(*numbers: int) -> None:
    """Seed Python, NumPy and torch from several numbers, well mixed."""
    words = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.manual_seed(int(words[2]))


def skips_unread(loop: BaseLoop, loader: DataLoader) -> bool:
    """Return whether mmengine resumes without reading what was seen."""
    if not isinstance(loop, IterBasedTrainLoop):
        return False
    if not hasattr(loop.dataloader_iterator, 'skip_iter'):  # older versions read it
        return False
    plain = type(loader.batch_sampler) is BatchSampler
    sampler = loader.batch_sampler.sampler if plain else loader.sampler
    return loader.num_workers == 0 or hasattr(sampler, 'skip')


def pipelines(dataset: Any) -> Iterator[list]:
    """Yield the lists of transforms in a dataset and its wrappers."""
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', None)
    if transforms:
        yield transforms
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for one in inner:
        if one is not None:
            yield from pipelines(one)
