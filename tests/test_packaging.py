"""Wheel, source distribution and editable install carry the package and MIM's files."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip('setuptools', minversion='64')

BUILD = """
import os, sys
from setuptools import build_meta
os.chdir(sys.argv[1])
print(getattr(build_meta, sys.argv[2])(sys.argv[3]))
"""


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
    copy = tmp_path_factory.mktemp('source') / 'mmghost'
    ignore = shutil.ignore_patterns(
        '__pycache__', '*.egg-info', '.mim', '.git', '.venv*', 'build', 'data', '*.pth',
        'work_dirs', 'demo_output', '.*_cache',
    )  # fmt: skip
    return Path(shutil.copytree(root, copy, ignore=ignore))


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> Path:
    return build('build_wheel', source, tmp_path_factory.mktemp('wheel'))


def names_in(wheel: Path) -> set[str]:
    return {
        name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info' not in name
    }


def metadata(wheel: Path) -> list[str]:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith('/METADATA'))
    return archive.read(name).decode().splitlines()


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()}


def test_wheel_carries_the_package_configs_tools_and_model_index_and_no_more(
    source, wheel
):
    wanted = {f'mmghost/{name}' for name in files_below(source / 'mmghost')}
    for folder in ('configs', 'tools'):
        wanted |= {f'mmghost/.mim/{folder}/{f}' for f in files_below(source / folder)}
    assert names_in(wheel) == wanted | {'mmghost/.mim/model-index.yml'}


def test_wheel_requires_neither_family_unless_asked(wheel):
    needs = [line for line in metadata(wheel) if line.startswith('Requires-Dist')]
    assert needs, 'the extras must be there'
    assert [line for line in needs if 'extra ==' not in line] == []


def test_wheel_built_from_the_source_distribution_is_the_same(source, wheel, tmp_path):
    with tarfile.open(build('build_sdist', source, tmp_path)) as archive:
        archive.extractall(tmp_path)
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert names_in(build('build_wheel', unpacked, tmp_path / 'out')) == names_in(wheel)
    for folder in ('dev', 'projects', 'requirements', 'tests'):
        assert files_below(source / folder) == files_below(unpacked / folder)
    assert (unpacked / 'Makefile').is_file()


def test_editable_install_links_the_files_for_mim_and_replaces_what_was_there(
    source, tmp_path
):
    mim = source / 'mmghost' / '.mim'
    (mim / 'configs').mkdir(parents=True)
    (mim / 'configs' / 'stale.py').touch()
    configs = files_below(source / 'configs')
    for _ in range(2):  # over copies, then over its own links
        build('build_editable', source, tmp_path)
        assert (
            files_below(mim / 'configs') == files_below(source / 'configs') == configs
        )
    assert (mim / 'tools').resolve() == source / 'tools'
    assert (mim / 'model-index.yml').resolve() == source / 'model-index.yml'


@pytest.mark.parametrize('stack', ['onedl', 'openmmlab'])
def test_every_requirement_is_pinned(root, wheel, stack):
    pins = (root / 'requirements' / f'{stack}.txt').read_text()
    pinned = {line.split('==')[0] for line in pins.splitlines() if '==' in line}
    other = {'onedl': 'openmmlab', 'openmmlab': 'onedl'}[stack]
    for line in metadata(wheel):
        if line.startswith('Requires-Dist') and f'extra == "{other}"' not in line:
            assert re.match(r'Requires-Dist: ([\w.-]+)', line)[1] in pinned, line
    ruff = re.search(r'^ruff==(.+)$', pins, re.MULTILINE)[1]
    assert f'rev: v{ruff}\n' in (root / '.pre-commit-config.yaml').read_text()
