"""Build, repair or re-point the environment of one stack; `make env` calls this.

Needs nothing but the standard library. A small state file inside the environment says
what it was built from. It is blanked before anything is changed and written again last,
so that an interrupted run is always noticed.
"""

from __future__ import annotations  # an old Python must get as far as the message

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE, LOCK, LOG = 'mmghost-env.json', 'mmghost-env.lock', 'mmghost-env.log'
NEEDED_GB = 8  # the onedl stack takes 7.4 GB, most of it torch's CUDA libraries

# Pythons that the pinned versions have wheels for, the first choice first.
PYTHONS = {'onedl': ('3.11', '3.12', '3.10'), 'openmmlab': ('3.11', '3.10')}
# Beside the one named like the stack.
EXTRAS = 'datasets,deploy,eval,notebook,tests,visualization'

# What an environment must be able to do before it counts as built.
CHECK_STACK = """
import torch, torchvision
kept = torchvision.ops.nms(torch.tensor([[0., 0., 9., 9.]] * 2), torch.ones(2), 0.5)
assert kept.tolist() == [0], 'torchvision.ops.nms kept %s, not [0]' % kept.tolist()
import mmengine, mmcv, mmdet, mmseg, mmpretrain, timm
"""
# mmghost is looked for, not imported: a fault in its source is none of the environment.
CHECK_PROJECT = """
import importlib.util, pathlib, sys
found = pathlib.Path(importlib.util.find_spec('mmghost').origin).resolve().parent
assert found == pathlib.Path(sys.argv[1]) / 'mmghost', 'mmghost is that of %s' % found
assert (found / '.mim' / 'configs').is_dir(), 'there are no configs in %s/.mim' % found
"""

SHOWN = re.compile('Downloading|Installing collected')
# What pip says when it fails -> what that means and what to do.
REASONS = {
    'No space left on device|Errno 28|Disk quota exceeded': (
        'the disk is full. Make room, or choose another disk with VENV=PATH.'
    ),
    'onnection broken|onnection refused|name resolution|unreachable|[Tt]imed out|'
    'Max retries|getaddrinfo|ProxyError|SSLError': (
        'the package index cannot be reached. Check the network and the settings of '
        'pip (`pip config list`); docs/installation.md says how to do without.'
    ),
}


class BuildError(Exception):
    """The environment cannot be built; the message says why and what to do."""


class Environment:
    """One virtual environment and what it ought to hold.

    Args:
        folder: Where it is, or will be.
        stack: ``onedl`` or ``openmmlab``.
        asked_python: The interpreter that the user named, if any.

    Raises:
        BuildError: If there is no such stack.
    """

    def __init__(
        self, folder: Path, stack: str, asked_python: str | None = None
    ) -> None:
        if stack not in PYTHONS:
            raise BuildError(f'unknown STACK={stack}; use {" or ".join(PYTHONS)}.')
        self.folder = folder
        self.stack = stack
        self.asked_python = asked_python
        self.python = str(folder / 'bin' / 'python')
        self.constraints = ROOT / 'requirements' / f'{stack}.txt'

    def ensure(self) -> None:
        """Bring the environment to the wanted state by the shortest safe way.

        Raises:
            BuildError: If that is not possible.
        """
        missing = self.missing()
        if missing is None:
            say(f'{self.folder} is up to date.')
            return
        self.refuse_foreign_folder()
        if missing == 'everything':
            self.find_python()  # or refuse it before anything is made
        self.folder.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        with self.locked():
            missing = self.missing()  # another run may have mended it meanwhile
            if missing == 'pointer':
                self.repoint()
            elif missing == 'pins':
                self.update()
            elif missing == 'everything':
                self.rebuild()
        say(f'{self.folder} is ready ({time.monotonic() - start:.0f} s).')

    def missing(self) -> str | None:
        """Say what is to be done: None, ``pointer``, ``pins`` or ``everything``."""
        state = self.read_state()
        if not state.get('pins') or not os.path.exists(self.python):
            return 'everything'
        if self.asked_python and python_version(self.asked_python) != state['python']:
            return 'everything'
        if state['pins'] != self.pins():
            return 'pins'
        return None if state['project'] == project() else 'pointer'

    def pins(self) -> str:
        """Return a digest of all that decides which distributions are installed."""
        digest = hashlib.sha256(EXTRAS.encode())
        for path in (self.constraints, ROOT / 'setup.py'):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def read_state(self) -> dict:
        """Return what the environment was built from; empty if never finished."""
        try:
            return json.loads((self.folder / STATE).read_text(encoding='utf-8'))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}

    def write_state(self, **state: str) -> None:
        """Replace the state in one step, so that no half of it can ever be read."""
        new = self.folder / f'{STATE}.new'
        new.write_text(json.dumps({'stack': self.stack, **state}), encoding='utf-8')
        os.replace(new, self.folder / STATE)

    def refuse_foreign_folder(self) -> None:
        """Never touch a folder that this script did not make.

        Raises:
            BuildError: If the folder holds anything else, or another stack.
        """
        if not self.folder.exists():
            return
        names = [p.name for p in self.folder.iterdir()] if self.folder.is_dir() else ''
        if STATE not in names and names not in ([], [LOCK]):
            raise BuildError(
                f'{self.folder} exists and was not made by `make env`. Remove it, '
                'or choose another folder with VENV=PATH.'
            )
        stack = self.read_state().get('stack', self.stack)
        if stack != self.stack:
            raise BuildError(
                f'{self.folder} holds the stack {stack}. Choose another folder for '
                f'{self.stack} with VENV=PATH: the two overwrite each other.'
            )

    @contextlib.contextmanager
    def locked(self):
        """Keep other runs out, and wait for one that is at work.

        The commands that are started inherit the lock: should this process be killed,
        nobody touches the folder before the last of them has ended too.
        """
        with open(self.folder / LOCK, 'w', encoding='utf-8') as file:
            self.lock = file.fileno()
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f'another run is at work on {self.folder}; waiting for it.')
                fcntl.flock(self.lock, fcntl.LOCK_EX)
            yield

    def repoint(self) -> None:
        """Make the environment use mmghost from this clone; seconds, no network."""
        say(f'pointing {self.folder} to {ROOT}')
        state = self.read_state()
        self.write_state(**{**state, 'project': ''})
        self.pip('-e', str(ROOT), '--no-deps', '--no-build-isolation')
        self.check(CHECK_PROJECT)
        self.write_state(**{**state, 'project': project()})

    def update(self) -> None:
        """Install the new pins over the old ones; build anew if that goes wrong."""
        say(f'the pins of {self.stack} have changed: updating {self.folder}')
        state = self.read_state()
        self.write_state()
        try:
            self.install()
        except BuildError:
            with contextlib.suppress(BuildError):
                self.check(CHECK_STACK)
                self.write_state(**state)  # pip gave up before it changed anything
            raise
        try:
            self.finish()
        except BuildError as error:
            say(str(error))
            self.rebuild()

    def rebuild(self) -> None:
        """Build the environment from nothing."""
        python = self.find_python()
        if (self.folder / 'pyvenv.cfg').exists():
            say(f'{self.folder} is unfinished, damaged or of another Python: removing')
        for path in self.folder.iterdir():
            if path.name not in (STATE, LOCK):
                shutil.rmtree(path) if is_real_folder(path) else path.unlink()
        self.write_state()
        free = shutil.disk_usage(self.folder).free / 1e9
        if free < NEEDED_GB:
            raise BuildError(
                f'{self.folder} has {free:.1f} GB free and needs {NEEDED_GB} GB. '
                'Choose another disk with VENV=PATH.'
            )
        say(f'building {self.folder} ({self.stack}, Python {python_version(python)})')
        say('this takes some minutes and downloads up to 4 GB')
        self.run([python, '-m', 'venv', str(self.folder)])
        self.install()
        self.finish()

    def find_python(self) -> str:
        """Find an interpreter that the pins have wheels for and that makes venvs.

        Raises:
            BuildError: If there is none; the message lists what was tried.
        """
        versions = PYTHONS[self.stack]
        tried = []
        for name in (
            [self.asked_python]
            if self.asked_python
            else [sys.executable, *(f'python{version}' for version in versions)]
        ):
            version = python_version(name)
            if version is None:
                tried.append(f'{name}: cannot be run')
            elif version not in versions:
                tried.append(f'{name}: is Python {version}')
            elif runs(name, 'import ensurepip, venv') is None:
                tried.append(
                    f'{name}: cannot make environments; on Debian and Ubuntu '
                    f'install the package python{version}-venv'
                )
            else:
                return name
        raise BuildError(
            f'the stack {self.stack} needs Python {" or ".join(sorted(versions))}; '
            'name one with PYTHON=PATH. Tried:\n  ' + '\n  '.join(tried)
        )

    def install(self) -> None:
        """Install what is pinned, torch and its torchvision first, as one pair."""
        pinned = ('-c', str(self.constraints))
        say('1 of 3: pip and setuptools')
        self.pip(*pinned, 'pip', 'setuptools', 'wheel')
        say('2 of 3: torch and torchvision')
        self.pip(*pinned, 'torch', 'torchvision')
        say('3 of 3: the toolboxes and mmghost')
        self.pip(*pinned, '-e', f'{ROOT}[{self.stack},{EXTRAS}]')

    def finish(self) -> None:
        """Try out what was installed and, last of all, write the state."""
        say('trying it out')
        self.check(CHECK_STACK)
        self.check(CHECK_PROJECT)
        self.write_state(
            pins=self.pins(), python=python_version(self.python), project=project()
        )

    def check(self, code: str) -> None:
        """Run a piece of Python in the environment, apart from the caller's settings.

        Raises:
            BuildError: If it fails.
        """
        self.run([self.python, '-I', '-W', 'ignore', '-c', code, str(ROOT)])

    def pip(self, *args: str) -> None:
        """Run ``pip install`` in the environment.

        Raises:
            BuildError: If it fails.
        """
        command = [self.python, '-m', 'pip', 'install', '--no-input']
        self.run([*command, '--disable-pip-version-check', *args])

    def run(self, command: list[str]) -> None:
        """Run a command; all it prints goes to the log, its main lines to the terminal.

        Raises:
            BuildError: If it fails, with the reason as far as it can be told.
        """
        env = {**os.environ, 'PIP_USER': '0', 'PYTHONUNBUFFERED': '1'}
        for name in ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX'):
            env.pop(name, None)
        lines = [f'$ {" ".join(command)}\n']
        with open(self.folder / LOG, 'a', encoding='utf-8') as log:
            log.write(lines[0])
            with subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding='utf-8',
                errors='replace',
                pass_fds=[self.lock],
            ) as process:
                for line in process.stdout:
                    log.write(line)
                    lines.append(line)
                    if SHOWN.match(line.strip()):
                        print('  ' + shorten(line.strip()), flush=True)
        if process.returncode:
            raise BuildError(explain(lines, self.folder / LOG))


def shorten(line: str) -> str:
    """Cut a line of pip's to what a person wants to know while it works."""
    # Downloading torch-2.14.1-cp311-cp311-manylinux.whl (900 MB)
    line = re.sub(r'^(Downloading \S+?-\d[^-\s]*)\S*', r'\1', line)
    names = re.match('Installing collected packages: (.*)', line)
    return f'Installing {names.group(1).count(",") + 1} packages' if names else line


def explain(lines: list[str], log: Path) -> str:
    """Turn the output of a failed command into a message for the person who waits."""
    reason = 'a command failed.'
    told = [line for line in lines if 'ERROR' in line] or lines[-3:]
    for sign, meaning in REASONS.items():
        signs = [line for line in lines if re.search(sign, line)]
        if signs:
            reason, told = meaning, signs[-1:]
            break
    return f'{reason}\n  {"  ".join(told).rstrip()}\nAll of it is in {log}.'


def project() -> str:
    """Name this clone and its version, which an editable install writes down."""
    version = (ROOT / 'mmghost' / 'version.py').read_text(encoding='utf-8')
    return f'{ROOT} {version.split("=")[-1].strip()}'


def python_version(python: str) -> str | None:
    """Return an interpreter's version, such as ``3.11``; None if it cannot be run."""
    return runs(python, "import sys; print('%d.%d' % sys.version_info[:2])")


def runs(python: str, code: str) -> str | None:
    """Run a piece of Python; return what it prints, None if it fails."""
    try:
        return subprocess.run(
            [python, '-I', '-c', code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding='utf-8',
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def is_real_folder(path: Path) -> bool:
    """Tell a folder from a link to one, whose contents are not ours to delete."""
    return path.is_dir() and not path.is_symlink()


def say(text: str) -> None:
    """Print one line about what is going on, at once."""
    print(f'make env: {text}', flush=True)


def main() -> int:
    """Parse the arguments, do what is needed, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', required=True, help='folder of the environment')
    parser.add_argument('--stack', default='onedl', help=' or '.join(PYTHONS))
    parser.add_argument('--python', help='make it with this Python')
    args = parser.parse_args()
    try:
        folder = Path(args.venv).expanduser().absolute()
        Environment(folder, args.stack, args.python).ensure()
    except (BuildError, OSError) as error:
        print(f'make env: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nmake env: interrupted; the next run begins anew.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
