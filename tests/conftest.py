"""What all tests share: few threads, skips, Shapes and short trainings."""

import gc
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

# Tests run side by side, some of them start trainings of their own: more threads than
# cores would only make them wait. The variable is for those, and must come before torch.
os.environ.setdefault('OMP_NUM_THREADS', '1')
import torch
from mmengine.config import utils

# Before mmcv.ops: it puts the stand-ins in their place.
from mmghost.datasets.shapes import make_shapes
from tests.engine.toys import TASKS, forget_runners, train, write_config

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent
REALDATA = Path(os.environ.get('MMGHOST_REALDATA', ROOT.parent / 'shared' / 'data'))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs real data or a GPU where there is none, and say so."""
    missing = {}
    if not REALDATA.is_dir():
        missing['realdata'] = f'no real data: MMGHOST_REALDATA is {REALDATA}'
    if not torch.cuda.is_available():
        missing['gpu'] = 'no CUDA device that torch can use'
    for item in items:
        for mark, reason in missing.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope='session')
def realdata() -> Path:
    """Return the folder of the real datasets; for tests marked ``realdata``."""
    return REALDATA


@pytest.fixture(scope='session')
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture(scope='session')
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen images to train on and eight to validate on, in every layout."""
    folder = tmp_path_factory.mktemp('shapes')
    make_shapes(folder, train=16, val=8, size=96, progress=False)
    return folder


@pytest.fixture(scope='session')
def trained(
    tmp_path_factory: pytest.TempPathFactory, shapes: Path
) -> dict[str, tuple[str, Path]]:
    """Config and work_dir of one short training per task."""
    found = {}
    for task in TASKS:
        folder = tmp_path_factory.mktemp(task)
        path = write_config(folder, task, shapes)
        train(path)
        forget_runners()
        found[task] = path, folder / 'work'
    return found


@pytest.fixture(scope='session', autouse=True)
def quick_runners() -> Iterator[None]:
    """Leave out what takes most of a short training, and is not its result."""
    gc.freeze()  # mmengine collects garbage whenever it reads a dataset
    with pytest.MonkeyPatch.context() as patch:
        # Versions of compilers, the layout of the config in each checkpoint, and all
        # metafiles of a toolbox for every `mmdet::` base.
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        patch.setattr(
            'yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True)
        )
        patch.setattr(utils, 'load', cache(utils.load))
        yield


@pytest.fixture(autouse=True)
def no_trace_of_other_runners() -> Iterator[None]:
    """Forget loggers, visualizers and default scopes that runners leave behind."""
    yield
    forget_runners()


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs a file of tools/, as a user does, in this process.

    It takes the file's path and the arguments, and returns the exit status and what was
    printed.
    """

    def run(name: str, *arguments: object) -> tuple[int, str]:
        path, status = str(ROOT / 'tools' / name), 0
        monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as end:
            status = end.code or 0
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run
