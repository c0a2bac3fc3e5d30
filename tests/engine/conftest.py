"""Shapes that all tests of the doors share; broken data sets are broken copies."""

import shutil
from pathlib import Path

import pytest

from mmghost.datasets.shapes import make_shapes

from .toys import forget_runners


@pytest.fixture(scope='session')
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures to train on and eight to validate on, in every layout."""
    folder = tmp_path_factory.mktemp('shapes')
    make_shapes(folder, train=16, val=8, size=96, progress=False)
    return folder


@pytest.fixture
def own_shapes(shapes: Path, tmp_path: Path) -> Path:
    """A copy of the Shapes that a test may break."""
    return Path(shutil.copytree(shapes, tmp_path / 'data'))


@pytest.fixture(autouse=True)
def no_trace_of_other_runners():
    """Forget loggers, visualizers and default scopes that runners leave behind."""
    yield
    forget_runners()
