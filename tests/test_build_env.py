"""What `make env` does in each state that it may find an environment in.

The commands that it would run (venv, pip, the trial imports) are recorded instead of
run: the whole thing takes minutes and a network.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture
def build_env(root):
    path = root / 'requirements' / 'build_env.py'
    spec = importlib.util.spec_from_file_location('build_env', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make(build_env, tmp_path, monkeypatch):
    """Return a function that runs `make env` and lists the kinds of its commands."""
    monkeypatch.setattr(build_env, 'NEEDED_GB', 0)
    monkeypatch.setattr(build_env, 'PYTHONS', {'onedl': (current(),), 'openmmlab': ()})

    def run(fail: str = '', stack: str = 'onedl', python: str | None = None):
        commands = []

        def record(self, command):
            kind = kind_of(build_env, command)
            commands.append(kind)
            if kind == fail:
                raise build_env.BuildError(f'{kind} failed')
            if kind == 'venv':
                (self.folder / 'bin').mkdir()
                (self.folder / 'bin' / 'python').symlink_to(sys.executable)
                (self.folder / 'pyvenv.cfg').touch()

        monkeypatch.setattr(build_env.Environment, 'run', record)
        environment = build_env.Environment(tmp_path / 'venv', stack, python)
        run.commands = commands
        environment.ensure()
        return commands

    return run


FROM_NOTHING = ['venv', 'pip', 'torch', 'mmghost', 'check stack', 'check project']
UPDATED = FROM_NOTHING[1:]
REPOINTED = ['repoint', 'check project']


def current() -> str:
    return f'{sys.version_info.major}.{sys.version_info.minor}'


def kind_of(build_env, command: list[str]) -> str:
    if '--no-deps' in command:
        return 'repoint'
    for kind in ('venv', 'torch', '-e', 'pip'):
        if kind in command[1:] and command[-1] != 'wheel':
            return {'-e': 'mmghost'}.get(kind, kind)
    if build_env.CHECK_STACK in command:
        return 'check stack'
    return 'check project' if build_env.CHECK_PROJECT in command else 'pip'


def test_new_folder_is_built_and_a_second_run_does_nothing_but_say_so(make, capsys):
    assert make() == FROM_NOTHING
    assert 'up to date' not in capsys.readouterr().out
    assert make() == []
    assert capsys.readouterr().out.endswith('venv is up to date.\n')


@pytest.mark.parametrize('step', FROM_NOTHING)
def test_build_that_failed_at_any_step_is_begun_anew(build_env, make, step):
    with pytest.raises(build_env.BuildError, match=step):
        make(fail=step)
    assert make() == FROM_NOTHING


def test_what_an_unfinished_build_left_is_removed_but_nothing_behind_links(
    build_env, make, tmp_path
):
    with pytest.raises(build_env.BuildError):
        make(fail='torch')
    precious = tmp_path / 'elsewhere' / 'precious'
    precious.parent.mkdir()
    precious.touch()
    (tmp_path / 'venv' / 'lib64').symlink_to(precious.parent)
    (tmp_path / 'venv' / 'half').mkdir()
    make()
    assert not (tmp_path / 'venv' / 'half').exists()
    assert precious.exists()


def test_changed_pins_update_the_environment_in_place(build_env, make, monkeypatch):
    make()
    monkeypatch.setattr(build_env, 'EXTRAS', 'tests')
    assert make() == UPDATED
    assert make() == []


def test_update_that_breaks_the_environment_builds_it_anew(
    build_env, make, monkeypatch
):
    make()
    monkeypatch.setattr(build_env, 'EXTRAS', 'tests')
    with pytest.raises(build_env.BuildError):
        make(fail='check stack')  # fails after the update and after the rebuild
    assert make.commands == [*UPDATED[:-1], *FROM_NOTHING[:-1]]


def test_update_without_a_network_keeps_a_working_environment(
    build_env, make, monkeypatch
):
    make()
    monkeypatch.setattr(build_env, 'EXTRAS', 'tests')
    with pytest.raises(build_env.BuildError, match='torch failed'):
        make(fail='torch')
    assert make() == UPDATED  # not from nothing


def test_other_clone_only_moves_the_editable_install(build_env, make, monkeypatch):
    make()
    monkeypatch.setattr(build_env, 'project', lambda: '/another/clone 0.1.0')
    assert make() == REPOINTED
    assert make() == []


def test_interrupted_move_is_done_again(build_env, make, monkeypatch):
    make()
    monkeypatch.setattr(build_env, 'project', lambda: '/another/clone 0.1.0')
    with pytest.raises(build_env.BuildError):
        make(fail='repoint')
    assert make() == REPOINTED


def test_environment_whose_python_is_gone_is_built_anew(make, tmp_path):
    make()
    (tmp_path / 'venv' / 'bin' / 'python').unlink()
    assert make() == FROM_NOTHING


def test_folder_of_others_is_refused_and_left_alone(build_env, make, tmp_path):
    precious = tmp_path / 'venv' / 'precious'
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(build_env.BuildError, match='not made by `make env`'):
        make()
    assert [path.name for path in precious.parent.iterdir()] == ['precious']


def test_other_stack_in_the_same_folder_is_refused(build_env, make):
    make()
    with pytest.raises(build_env.BuildError, match='holds the stack onedl'):
        make(stack='openmmlab')
    assert make() == []


def test_unknown_stack_is_refused(build_env, tmp_path):
    with pytest.raises(build_env.BuildError, match='STACK=torch'):
        build_env.Environment(tmp_path, 'torch')


def test_full_disk_is_told_before_anything_is_downloaded(build_env, make, monkeypatch):
    monkeypatch.setattr(build_env, 'NEEDED_GB', 1e9)
    with pytest.raises(build_env.BuildError, match='GB free and needs'):
        make()
    assert make.commands == []


@pytest.mark.parametrize(
    ('script', 'told'),
    [
        ('echo 3.9', 'is Python 3.9'),
        ('exit 1', 'cannot be run'),
        (
            'case "$*" in *ensurepip*) exit 1;; *) echo VERSION;; esac',
            'install the package python.*-venv',
        ),
    ],
)
def test_unsuitable_python_is_named_with_what_it_lacks(
    build_env, make, tmp_path, script, told
):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\n' + script.replace('VERSION', current()))
    python.chmod(0o755)
    with pytest.raises(build_env.BuildError, match=f'(?s)needs Python.*{told}'):
        make(python=str(python))
    assert not (tmp_path / 'venv').exists()


@pytest.mark.parametrize(
    ('line', 'told'),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device: 'x'", 'full'),
        ('WARNING: Retrying after connection broken by NewConnectionError', 'network'),
        ('ERROR: No matching distribution found for torch==9', 'torch==9'),
    ],
)
def test_failure_of_pip_is_explained(build_env, tmp_path, line, told):
    lines = ['$ pip install\n', f'{line}\n', 'noise\n']
    assert told in build_env.explain(lines, tmp_path / 'log')


def test_killed_run_holds_the_lock_until_its_last_command_has_ended(root, tmp_path):
    """A pip that outlives a killed `make env` must not write into the next build."""
    code = """
import sys; sys.path.insert(0, sys.argv[1])
import pathlib, build_env
environment = build_env.Environment(pathlib.Path(sys.argv[2]), 'onedl')
with environment.locked():
    environment.run(eval(sys.argv[3]))
"""

    def start(*command: str) -> subprocess.Popen:
        requirements = str(root / 'requirements')
        args = [sys.executable, '-c', code, requirements, str(tmp_path), repr(command)]
        return subprocess.Popen(args, stdout=subprocess.PIPE, text=True)

    begun, ended, seen = (tmp_path / name for name in ('begun', 'ended', 'seen'))
    first = start('sh', '-c', f'touch {begun}; sleep 2; touch {ended}')
    while not begun.exists():
        assert first.poll() is None
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = start('sh', '-c', f'test -e {ended} && touch {seen}')
    told, _ = second.communicate(timeout=30)
    assert 'another run is at work' in told
    assert seen.exists(), 'the second run began before the command of the first ended'
