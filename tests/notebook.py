"""Run demo/mmghost_tour.ipynb, in tests and to update its outputs.

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
# Traces of the machine in an output: paths, times of day, colors of the terminal.
MACHINE = re.compile(
    r'(?<![\w.:/)])/[\w.-]+/|[A-Z]:\\|site-packages|\d\d:\d\d:\d\d - |\x1b'
)


def read(path: Path = NOTEBOOK) -> dict[str, Any]:
    """Read a notebook file."""
    return json.loads(path.read_text(encoding='utf-8'))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the code cells."""
    return [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']


def kinds(cell: dict[str, Any]) -> list[str]:
    """List the kinds of a cell's outputs: ``text``, or the MIME type of an image."""
    found = []
    for output in cell['outputs']:
        data = output.get('data', {})
        kind = next((key for key in data if key.startswith('image/')), 'text')
        if found[-1:] != [kind]:
            found.append(kind)
    return found


def texts(cell: dict[str, Any]) -> str:
    """Return all that a cell printed."""
    return ''.join(
        ''.join(output.get('text', output.get('data', {}).get('text/plain', '')))
        for output in cell['outputs']
    )


def execute(folder: Path, timeout: int | None = 1200) -> dict[str, Any]:
    """Run all cells in a fresh kernel and return the notebook with its outputs.

    Args:
        folder: Working directory of the kernel; gets links to configs and tools.
        timeout: Limit for one cell in seconds; None for none.
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
    """Remove what changes with every run: times of execution, Python's version."""
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
    """Run the notebook, and write its outputs with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--write', action='store_true', help='update the outputs')
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
