"""Skip tests whose requirements are missing, and use few threads."""

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Tests run side by side, some of them start trainings of their own: more threads than
# cores would only make them wait. The variable is for those, and must come before torch.
os.environ.setdefault('OMP_NUM_THREADS', '1')
import torch

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
