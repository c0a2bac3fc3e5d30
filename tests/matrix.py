"""On which versions the tests were run, and what passed: records, and a page of them.

Examples, each in the environment that it is about:
    python -m tests.matrix run                       # what `make test` runs
    python -m tests.matrix run -- -n 2               # all, as `make test-all`
    python -m tests.matrix run -- tests/models       # a part
    python -m tests.matrix add results.xml --what 'make test'   # pytest --junitxml's
    python -m tests.matrix page                      # write tests/matrix.md anew
"""

import argparse
import datetime
import json
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'mmghost'))
import doctor  # noqa: E402 - without mmghost itself, which would take torch with it

sys.path.pop(0)
RECORDS = ROOT / 'tests' / 'matrix.json'
PAGE = ROOT / 'tests' / 'matrix.md'
VERSIONS = (
    'torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain',
    'timm',
)  # fmt: skip
COLUMNS = ('stack', 'python', *VERSIONS)
QUICK = ['-n', '2', '-m', 'not slow']
WHAT = {('-n', '2', '-m', 'not slow'): '`make test`', ('-n', '2'): '`make test-all`'}

TEXT = """# What was run where

Made by `python -m tests.matrix page` from [matrix.json](matrix.json), to which
`python -m tests.matrix run` adds: do not edit. Each row is the newest run of these tests on
these versions, by pytest's own counts. A skipped test says why: most need a GPU, real data,
or a package that the stack does not have.

{table}
"""


def versions() -> dict[str, str]:
    """Name the versions of this environment."""
    installed = doctor.installed_distributions()
    found = doctor.versions_of(installed)
    short = {name: (found[name] or '-').split(' ')[0] for name in VERSIONS}
    stack = doctor.stack_of(installed)
    return {'stack': stack, 'python': platform.python_version(), **short}


def counts(junit: Path) -> dict[str, int]:
    """Count what passed, failed and was skipped.

    Args:
        junit: What ``pytest --junitxml`` has written.
    """
    total = dict.fromkeys(('tests', 'failures', 'errors', 'skipped'), 0)
    for suite in ElementTree.parse(junit).getroot().iter('testsuite'):
        for key in total:
            total[key] += int(suite.get(key, 0))
    failed = total['failures'] + total['errors']
    passed = total['tests'] - failed - total['skipped']
    return {'passed': passed, 'failed': failed, 'skipped': total['skipped']}


def commit() -> str:
    """Name the commit that is checked out; ``-`` where there is no git."""
    try:
        return subprocess.run(
            ['git', 'rev-parse', '--short', 'HEAD'],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return '-'


def add(junit: Path, what: str, records: Path = RECORDS) -> dict[str, Any]:
    """Add a run in this environment to the records.

    Args:
        junit: What pytest has written of it.
        what: Which tests were run, in words.
        records: The file of the records.

    Returns:
        The record.
    """
    record = {
        'date': datetime.date.today().isoformat(),
        'commit': commit(),
        'what': what,
        **versions(),
        **counts(junit),
    }
    known = json.loads(records.read_text()) if records.is_file() else []
    lines = ',\n'.join(f'  {json.dumps(entry)}' for entry in [*known, record])
    records.write_text(f'[\n{lines}\n]\n', encoding='utf-8')
    return record


def page(records: list[dict[str, Any]]) -> str:
    """Write the page: of equal versions and equal tests the newest run."""
    newest: dict[tuple, dict[str, Any]] = {}
    for record in records:
        key = (record['what'], *(record[name] for name in COLUMNS))
        newest.pop(key, None)
        newest[key] = record
    heads = [*COLUMNS, 'tests', 'passed', 'failed', 'skipped', 'date', 'commit']
    rows = [
        [record['what' if head == 'tests' else head] for head in heads]
        for record in sorted(newest.values(), key=order)
    ]
    lines = [heads, ['---'] * len(heads), *rows]
    table = '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)
    return TEXT.format(table=table)


def order(record: dict[str, Any]) -> tuple:
    """Sort by stack, then the newest versions first."""
    numbers = (doctor.release(record[name]) for name in ('python', 'torch'))
    newest_first = [tuple(-number for number in version) for version in numbers]
    return (record['stack'], *newest_first, record['what'])


def run(arguments: list[str], what: str | None) -> int:
    """Run pytest in this environment and add what it counted.

    Args:
        arguments: For pytest.
        what: Which tests these are, in words; None finds them.

    Returns:
        Pytest's exit status.
    """
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / 'junit.xml'
        command = [sys.executable, '-m', 'pytest', *arguments, f'--junitxml={junit}']
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if junit.is_file():
            words = WHAT.get(tuple(arguments), f'`pytest {" ".join(arguments)}`')
            print(add(junit, what or words))
    return status


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    runs = commands.add_parser('run', help='run tests here and record what passed')
    runs.add_argument('--what', help='which tests these are, in words')
    runs.add_argument('pytest', nargs='*', help='arguments for pytest, after --')
    adds = commands.add_parser('add', help='record a run that was made here')
    adds.add_argument('junit', type=Path, help="the file of pytest's --junitxml")
    adds.add_argument('--what', required=True, help='which tests, in words')
    commands.add_parser('page', help=f'write {PAGE.name} from {RECORDS.name}')
    args = parser.parse_args()
    status = 0
    if args.command == 'run':
        status = run(args.pytest or QUICK, args.what)
    elif args.command == 'add':
        print(add(args.junit, args.what))
    PAGE.write_text(page(json.loads(RECORDS.read_text())), encoding='utf-8')
    return status


if __name__ == '__main__':
    sys.exit(main())
