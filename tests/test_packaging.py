"""Wheel, source distribution and editable install all carry what MIM looks for."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip('setuptools', minversion='64')

# What a user of the wheel and of the source distribution must find. The folder of
# configs is compared file by file below.
BUILT_FROM = (
    'CHANGELOG.md',
    'CITATION.cff',
    'CONTRIBUTING.md',
    'LICENSE',
    'MANIFEST.in',
    'Makefile',
    'README.md',
    'configs',
    'demo',
    'mmghost',
    'model-index.yml',
    'pyproject.toml',
    'requirements',
    'setup.py',
    'tests',
    'tools',
)

BUILD = """
import os, sys
from setuptools import build_meta
os.chdir(sys.argv[1])
print(getattr(build_meta, sys.argv[2])(sys.argv[3]))
"""

# Extras that the environments of both stacks have.
EVERYWHERE = ('datasets', 'deploy', 'eval', 'notebook', 'tests', 'visualization')


def build(hook: str, source: Path, out: Path) -> Path:
    """Run one hook of the build backend, as pip does, and return the file it made."""
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', BUILD, source, hook, out],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope='module')
def source(root, tmp_path_factory) -> Path:
    """Copy the project, so that no build leaves anything in the working tree."""
    copy = tmp_path_factory.mktemp('source')
    ignore = shutil.ignore_patterns('__pycache__', '*.egg-info', '.mim')
    for name in BUILT_FROM:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=ignore)
        else:
            shutil.copy2(root / name, copy / name)
    return copy


@pytest.fixture(scope='module')
def sdist(source, tmp_path_factory) -> Path:
    return build('build_sdist', source, tmp_path_factory.mktemp('sdist'))


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> Path:
    return build('build_wheel', source, tmp_path_factory.mktemp('wheel'))


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def expected_mim_files(source: Path) -> set[str]:
    found = {f'{d}/{f}' for d in ('configs', 'tools') for f in files_below(source / d)}
    return found | {'model-index.yml'}


def mim_files_of(wheel: Path) -> set[str]:
    prefix = 'mmghost/.mim/'
    names = zipfile.ZipFile(wheel).namelist()
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def test_wheel_carries_every_config_tool_and_the_model_index(source, wheel):
    assert mim_files_of(wheel) == expected_mim_files(source)


def test_wheel_holds_nothing_outside_the_package(wheel):
    tops = {name.split('/')[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith('.dist-info')} == {'mmghost'}


def test_wheel_holds_every_module(source, wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {f for f in files_below(source / 'mmghost') if f.endswith('.py')}
    assert {f'mmghost/{module}' for module in modules} <= names


def test_wheel_requires_neither_family_unless_asked(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith('.dist-info/METADATA'))
    lines = archive.read(name).decode().splitlines()
    needs = [line for line in lines if line.startswith('Requires-Dist')]
    assert needs, 'the extras must be there'
    assert [line for line in needs if 'extra ==' not in line] == []
    extras = {line.split()[1] for line in lines if line.startswith('Provides-Extra')}
    assert extras == {'onedl', 'openmmlab', *EVERYWHERE}


def test_stale_build_folder_does_not_leak_into_the_wheel(source, tmp_path):
    copy = tmp_path / 'source'
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns('build'))
    stale = copy / 'build' / 'lib' / 'mmghost' / '.mim' / 'configs' / 'gone.py'
    stale.parent.mkdir(parents=True)
    stale.touch()
    built = build('build_wheel', copy, tmp_path / 'out')
    assert mim_files_of(built) == expected_mim_files(source)


def test_wheel_built_from_the_sdist_equals_the_wheel(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)
    (unpacked,) = tmp_path.iterdir()
    again = build('build_wheel', unpacked, tmp_path / 'out')
    names = [set(zipfile.ZipFile(path).namelist()) for path in (wheel, again)]
    assert names[0] == names[1]


def test_sdist_carries_what_make_needs(source, sdist):
    with tarfile.open(sdist) as archive:
        names = {name.split('/', 1)[-1] for name in archive.getnames()}
    for folder in ('configs', 'requirements', 'tests', 'tools'):
        wanted = {f'{folder}/{name}' for name in files_below(source / folder)}
        assert wanted <= names
    assert {'LICENSE', 'Makefile', 'model-index.yml', 'pyproject.toml'} <= names


def test_editable_install_links_so_that_mim_sees_edits(source, tmp_path):
    copy = tmp_path / 'source'
    shutil.copytree(source, copy)
    build('build_editable', copy, tmp_path / 'out')
    mim = copy / 'mmghost' / '.mim'
    assert files_below(mim / 'configs') == files_below(copy / 'configs')
    (copy / 'configs' / 'new.py').write_text('a = 1\n')
    assert (mim / 'configs' / 'new.py').read_text() == 'a = 1\n'
    assert (mim / 'tools').resolve() == copy / 'tools'
    assert (mim / 'model-index.yml').resolve() == copy / 'model-index.yml'


def test_editable_install_over_copies_or_an_older_one_keeps_the_sources(
    source, tmp_path
):
    copy = tmp_path / 'source'
    shutil.copytree(source, copy)
    stale = copy / 'mmghost' / '.mim' / 'configs' / 'stale.py'
    stale.parent.mkdir(parents=True)
    stale.touch()
    for _ in range(2):  # over the copies, then over its own links
        build('build_editable', copy, tmp_path / 'out')
        assert not stale.exists()
    assert files_below(copy / 'configs') == files_below(source / 'configs')
    assert files_below(copy / 'tools') == files_below(source / 'tools')


def test_editable_install_copies_where_links_are_refused(source, tmp_path):
    copy = tmp_path / 'source'
    shutil.copytree(source, copy)
    # Until Python 3.10 pathlib keeps the function that it found when it was imported.
    (copy / 'sitecustomize.py').write_text(
        'import os, pathlib\n'
        "def refuse(*a, **k):\n    raise OSError('no links')\n"
        'os.symlink = pathlib.Path.symlink_to = refuse\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', BUILD, copy, 'build_editable', tmp_path / 'out'],
        env={**os.environ, 'PYTHONPATH': str(copy)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    mim = copy / 'mmghost' / '.mim'
    assert not (mim / 'configs').is_symlink()
    assert files_below(mim / 'configs') == files_below(copy / 'configs')


def test_mmengine_finds_mim_of_the_installed_package(wheel, tmp_path):
    """Not of an editable one, for which older releases look in vain (docs/mim.md)."""
    pytest.importorskip('mmengine')
    zipfile.ZipFile(wheel).extractall(tmp_path)  # all that installing a pure wheel is
    asked = subprocess.run(
        [
            sys.executable,
            '-c',
            'from mmengine.utils import get_installed_path as g; print(g("mmghost"))',
        ],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        cwd=tmp_path.parent,
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stderr
    found = Path(asked.stdout.strip())
    assert found == tmp_path / 'mmghost'
    assert (found / '.mim' / 'model-index.yml').is_file()


def test_every_extra_of_a_stack_is_pinned_in_its_constraints(root, wheel):
    lines = zipfile.ZipFile(wheel).read(
        next(n for n in zipfile.ZipFile(wheel).namelist() if n.endswith('/METADATA'))
    )
    for stack in ('onedl', 'openmmlab'):
        text = (root / 'requirements' / f'{stack}.txt').read_text()
        pinned = {line.split('==')[0] for line in text.splitlines() if '==' in line}
        for extra in (stack, *EVERYWHERE):
            for line in lines.decode().splitlines():
                if line.startswith('Requires-Dist') and f'extra == "{extra}"' in line:
                    name = line.split()[1].split('>')[0].split('<')[0].split(';')[0]
                    assert name in pinned, f'{name} is not pinned for {stack}'


def test_pre_commit_runs_the_ruff_that_make_lint_runs(root):
    hooks = (root / '.pre-commit-config.yaml').read_text()
    for stack in ('onedl', 'openmmlab'):
        pins = (root / 'requirements' / f'{stack}.txt').read_text().splitlines()
        (ruff,) = [line for line in pins if line.startswith('ruff==')]
        assert f'rev: v{ruff.removeprefix("ruff==")}\n' in hooks
