"""Making the Shapes data set, once: what is whole stays, what is not is made anew."""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from rich.progress import track

from .arguments import whole_number
from .files import remove, write_json
from .layouts import Job, Plan, write_lists, write_picture
from .picture import SPLITS

MANIFEST = 'shapes.json'  # stands there only while the data set is whole
UNFINISHED = 'shapes.unfinished.json'  # stands there while it is not


@dataclass(frozen=True)
class ShapesSet:
    """What :func:`make_shapes` wrote or found.

    Attributes:
        out: The folder that holds the layouts.
        made: False if the same data set was there already.
        classes: Names of the classes by layout, in the order of their labels. They say
            what the shapes look like, also where COCO's own names stand in its files.
        pictures: Number of pictures by layout and split.
        instances: Number of labelled shapes in COCO's layout by split.
    """

    out: Path
    made: bool
    classes: dict[str, tuple[str, ...]]
    pictures: dict[str, dict[str, int]]
    instances: dict[str, int]


def make_shapes(
    out: str | os.PathLike,
    train: int = 1000,
    val: int = 100,
    size: int | Sequence[int] = 192,
    max_size: int | Sequence[int] | None = None,
    classes: int | Sequence[str] = 8,
    objects: int | Sequence[int] = (1, 6),
    seed: int = 0,
    only: str | Sequence[str] | None = None,
    like_originals: bool = False,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> ShapesSet:
    """Make the Shapes data set.

    The same arguments give the same bytes, whatever ``workers`` is, and a larger set
    begins with the pictures of a smaller one of the same seed. Below ``out`` stand

    - ``coco``: ``train2017``, ``val2017`` and ``annotations`` with boxes and masks.
      The masks are run-length encoded, because polygons know no holes; mmdet reads
      them with ``poly2mask=True``, its default.
    - ``ade/ADEChallengeData2016``: the same pictures with label maps, in which 0 is
      the background (ADE20K's "unlabelled") and the classes begin at 1.
    - ``imagenet``: pictures of one shape in class folders, equally many of each class
      and ``train`` or ``val`` in all, rounded up; ``meta`` lists them.

    A data set that is there and whole is left alone; an interrupted one is made anew.

    Args:
        out: Folder to write to.
        train: Number of pictures to train on.
        val: Number of pictures to validate on.
        size: Side or ``(height, width)`` in px.
        max_size: If given, each side of each picture lies between ``size`` and this.
        classes: Their number or names, see
            :func:`~mmghost.datasets.shapes.parse_classes`.
        objects: Number of shapes a picture, or the least and the most.
        seed: Other seeds give other pictures.
        only: Layouts to write, of ``coco``, ``ade`` and ``imagenet``. Default: all.
        like_originals: Have as many classes as the originals, whatever ``classes``
            is, to try their configs: COCO's 80 with their ids and names, ADE20K's
            150, ImageNet's 1000 folders. COCO's and ADE20K's pictures differ then.
        workers: Number of processes that draw.
        overwrite: Replace a data set that was made with other arguments.
        progress: Show a progress bar.

    Returns:
        What stands there now.

    Raises:
        ValueError: If an argument is wrong; the message names it.
        FileExistsError: If there is a data set made with other arguments and
            ``overwrite`` is not set, or a file in the way that was not made by this
            function. Such files are never replaced or removed.
    """
    workers = whole_number('workers', workers, 1, 256)
    plan = Plan.of(
        train=train,
        val=val,
        size=size,
        max_size=max_size,
        classes=None if like_originals else classes,
        objects=objects,
        seed=seed,
        only=only,
    )
    out = Path(out)
    found = _Found.look(out)
    if found.whole and found.plans == [plan] and not found.lacks_files():
        return _summary(out, plan, made=False)
    if found.whole and found.plans != [plan] and not overwrite:
        raise FileExistsError(
            f'{out} holds a Shapes data set made with other arguments '
            f'({found.difference(plan)}); choose another folder, or replace it with '
            'overwrite (--overwrite)'
        )
    found.refuse_foreign_files(plan)

    found.begin(plan)
    jobs = list(plan.jobs())
    scenes = {split: [] for split in SPLITS}
    entries = _write_pictures(out, plan, jobs, workers, progress)
    for scene, job in zip(entries, jobs):
        if scene is not None:
            scenes[job.split].append(scene)
    write_lists(out, plan, scenes)
    instances = {
        split: sum(len(scene['annotations']) for scene in scenes[split])
        for split in SPLITS
    }
    found.finish(plan, instances)
    return _summary(out, plan, made=True)


def _write_pictures(
    out: Path, plan: Plan, jobs: Sequence[Job], workers: int, progress: bool
) -> Iterator[dict | None]:
    """Yield :func:`write_picture`'s answer for every job, in their order."""
    function = partial(write_picture, out, plan)
    show = partial(track, description='Shapes', total=len(jobs), disable=not progress)
    if workers == 1:
        yield from show(map(function, jobs))
        return
    # Processes are spawned, because OpenMP and OpenCV may hang in forked ones.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'))
    try:
        with _interrupts_ignored():  # it is this process that answers Ctrl-C
            entries = pool.map(function, jobs, chunksize=16)
        yield from show(entries)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C, here for a moment and for good in processes that start meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set what a signal does
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass
class _Found:
    """What the manifests in a folder say about it.

    Attributes:
        out: The folder.
        plans: By which its files were made: one, or all that may have left files
            behind where the last one was interrupted.
        whole: Whether the last one was finished.
    """

    out: Path
    plans: list[Plan]
    whole: bool

    @classmethod
    def look(cls, out: Path) -> '_Found':
        """Read the manifest, if there is one."""
        if out.exists() and not out.is_dir():
            raise FileExistsError(f'{out} is a file; a folder is needed')
        for name in (UNFINISHED, MANIFEST):
            if (out / name).exists():
                return cls(out, _read_plans(out / name), whole=name == MANIFEST)
        return cls(out, [], whole=False)

    def lacks_files(self) -> bool:
        """Whether files have gone since the data set was made."""
        return not all((self.out / file).exists() for file in _files(self.plans))

    def difference(self, plan: Plan) -> str:
        """Say in which arguments the data set differs from another."""
        mine, other = self.plans[-1].to_json(), plan.to_json()
        return ', '.join(
            f'{key}: {_short(mine[key])} there, {_short(other[key])} wanted'
            for key in other
            if mine[key] != other[key]
        )

    def refuse_foreign_files(self, plan: Plan) -> None:
        """Raise FileExistsError if the plan would replace a file that is not ours."""
        for file in sorted(_files([plan]) - _files(self.plans)):
            if os.path.lexists(self.out / file):
                raise FileExistsError(
                    f'{self.out / file} is in the way: it was not made by make_shapes, '
                    'which never replaces such files; choose another folder'
                )

    def begin(self, plan: Plan) -> None:
        """Mark the data set as unfinished and remove files that it will not have."""
        plans = self.plans if plan in self.plans else [*self.plans, plan]
        write_json(self.out / UNFINISHED, dict(plans=[p.to_json() for p in plans]))
        (self.out / MANIFEST).unlink(missing_ok=True)
        remove(self.out, _files(self.plans) - _files([plan]))

    def finish(self, plan: Plan, instances: dict[str, int]) -> None:
        """Mark the data set as whole."""
        manifest = dict(plans=[plan.to_json()], instances=instances)
        write_json(self.out / MANIFEST, manifest, indent=1)
        (self.out / UNFINISHED).unlink()


def _read_plans(path: Path) -> list[Plan]:
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
        return [Plan.from_json(plan) for plan in values['plans']]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileExistsError(
            f'{path} is not as make_shapes writes it ({error}); choose another folder, '
            'or remove this one if nothing else is in it'
        ) from error


def _files(plans: Iterable[Plan]) -> set[str]:
    return set(chain.from_iterable(plan.files() for plan in plans))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 80 else f'{text[:76]} ...'


def _summary(out: Path, plan: Plan, made: bool) -> ShapesSet:
    manifest = json.loads((out / MANIFEST).read_text(encoding='utf-8'))
    return ShapesSet(
        out=out,
        made=made,
        classes={
            layout: tuple(look.name for look in plan.looks(layout))
            for layout in plan.only
        },
        pictures={
            layout: {split: plan.pictures(layout, split) for split in SPLITS}
            for layout in plan.only
        },
        instances=manifest['instances'],
    )
