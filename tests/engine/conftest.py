"""Shapes and short trainings that all tests of the engine share."""

import gc
from pathlib import Path

import pytest

from mmghost.datasets.shapes import make_shapes

from .toys import TASKS, forget_runners, train, write_config


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
def quick_runners():
    """Leave out what takes most of a short training, and is not its result."""
    gc.freeze()  # mmengine collects garbage whenever it reads a dataset
    with pytest.MonkeyPatch.context() as patch:
        # Versions of compilers, and the layout of the config in each checkpoint.
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        patch.setattr(
            'yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True)
        )
        yield


@pytest.fixture(autouse=True)
def no_trace_of_other_runners():
    """Forget loggers, visualizers and default scopes that runners leave behind."""
    yield
    forget_runners()
