"""`make env` with a Python that only records what it is asked to install."""

import shutil
import subprocess

import pytest

# Makes a "venv" whose python is this script again; fails where $FAIL names the step.
FAKE = """#!/bin/sh
case "$*" in *ensurepip*) exit 0;; esac
echo "$*" >>"$LOG"
[ "$2" = venv ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
[ -n "$FAIL" ] && case "$*" in *"$FAIL"*) exit 1;; esac
exit 0
"""
STEPS = ['-m venv', 'pip setuptools', '-e .[onedl', 'opencv-python-headless', 'import']


@pytest.fixture
def make(root, tmp_path):
    """Return a function that runs `make env` in a small clone and lists what it did."""
    if not (shutil.which('make') and shutil.which('flock')):
        pytest.skip('needs make and flock')
    (tmp_path / 'mmghost').mkdir()
    shutil.copytree(root / 'requirements', tmp_path / 'requirements')
    for name in ('Makefile', 'setup.py', 'mmghost/version.py'):
        shutil.copy(root / name, tmp_path / name)
    fake = tmp_path / 'fake-python'
    fake.write_text(FAKE)
    fake.chmod(0o755)

    def run(*settings: str, fail: str = '', status: int = 0) -> list[str]:
        log = tmp_path / 'log'
        log.write_text('')
        done = subprocess.run(
            ['make', 'env', f'PYTHON={fake}', *settings],
            cwd=tmp_path,
            env={'PATH': '/usr/local/bin:/usr/bin:/bin', 'LOG': str(log), 'FAIL': fail},
            capture_output=True,
            text=True,
        )
        assert (done.returncode > 0) == status, done.stderr
        run.error = done.stderr
        return [
            s for s in STEPS if any(s in line for line in log.read_text().split('\n'))
        ]

    run.folder = tmp_path
    return run


def test_an_environment_is_built_once(make):
    assert make() == STEPS
    assert make() == []


@pytest.mark.parametrize('step', STEPS)
def test_an_interrupted_build_is_begun_anew(make, step):
    make(fail=step, status=1)
    assert make() == STEPS
    assert make() == []


@pytest.mark.parametrize('step', ['', 'opencv-python-headless'])
def test_changed_pins_are_installed_in_place_also_after_an_interruption(make, step):
    make()
    pins = make.folder / 'requirements' / 'onedl.txt'
    pins.write_text(pins.read_text() + 'more==1.0\n')
    if step:
        make(fail=step, status=1)
    assert make() == STEPS[1:]
    assert make() == []


def test_another_folder_or_stack_is_left_alone(make):
    kept = make.folder / 'mine' / 'file'
    kept.parent.mkdir()
    kept.touch()
    assert make('VENV=mine', status=1) == []
    assert 'holds something other' in make.error and kept.exists()
    make('VENV=onedl')
    assert make('VENV=onedl', 'STACK=openmmlab', status=1) == []
    assert make('STACK=torch', status=1) == [] and 'STACK=torch' in make.error


def test_without_a_fitting_python_nothing_is_made(make):
    assert make('PYTHON=/bin/false', 'VENV=new', status=1) == []
    assert 'needs one of Python 3.10' in make.error
    assert not (make.folder / 'new').exists()
