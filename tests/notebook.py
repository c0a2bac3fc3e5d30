"""Run demo/mmghost_tour.ipynb, in the tests and to keep its outputs anew.

python -m tests.notebook --write      # some minutes on two CPU cores
"""

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / 'demo' / 'mmghost_tour.ipynb'
# What an output tells of the machine that it was made on, and of nothing else: paths,
# times of day, the colours of its terminal.
MACHINE = re.compile(
    r'(?<![\w.:/)])/[\w.-]+/|[A-Z]:\\|site-packages|\d\d:\d\d:\d\d - |\x1b'
)


def read(path: Path = NOTEBOOK) -> dict[str, Any]:
    """Read a notebook as it lies in its file."""
    return json.loads(path.read_text(encoding='utf-8'))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells that are run."""
    return [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']


def kinds(cell: dict[str, Any]) -> list[str]:
    """What a cell puts out: ``text`` for anything printed, else the kind of picture."""
    found = []
    for output in cell['outputs']:
        data = output.get('data', {})
        kind = next((key for key in data if key.startswith('image/')), 'text')
        if found[-1:] != [kind]:
            found.append(kind)
    return found


def texts(cell: dict[str, Any]) -> str:
    """All that a cell has printed."""
    return ''.join(
        ''.join(output.get('text', output.get('data', {}).get('text/plain', '')))
        for output in cell['outputs']
    )


def execute(folder: Path, timeout: int | None = 1200) -> dict[str, Any]:
    """Run all cells in a fresh kernel.

    Args:
        folder: Where the kernel runs and writes to; links to configs and tools are made.
        timeout: Of a cell, in seconds; None for none.

    Returns:
        The notebook with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    for name in ('configs', 'tools'):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(path for path in paths if path)}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=timeout, startup_timeout=600, kernel_name='python3'
    )
    client.execute(cwd=str(folder), env=env)
    return json.loads(nbformat.writes(notebook))


def cleaned(notebook: dict[str, Any]) -> dict[str, Any]:
    """Take out what changes with every run: times of execution, Python's version."""
    notebook['metadata'] = {
        'kernelspec': {
            'display_name': 'Python 3',
            'language': 'python',
            'name': 'python3',
        },
        'language_info': {'name': 'python'},
    }
    for cell in code_cells(notebook):
        cell['metadata'] = {}
        for output in cell['outputs']:
            if 'metadata' in output:
                output['metadata'] = {}
    return notebook


def main() -> None:
    """Run the notebook and, if asked, keep its outputs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--write', action='store_true', help='keep the outputs')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        notebook = cleaned(execute(Path(folder), timeout=None))
    for cell in code_cells(notebook):
        print(texts(cell))
    if args.write:
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        NOTEBOOK.write_text(text + '\n', encoding='utf-8')
        print(f'wrote {NOTEBOOK.relative_to(ROOT)}', file=sys.stderr)


if __name__ == '__main__':
    main()
