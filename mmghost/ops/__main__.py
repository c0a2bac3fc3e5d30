"""Run a script with the stand-ins in place: ``python -m mmghost.ops SCRIPT ...``.

A config's ``custom_imports`` import mmghost early enough for mmdet's ``tools/train.py``.
Its ``tools/test.py`` imports operators before it reads a config, and needs this.
"""

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the script named on the command line, as Python itself would."""
    if len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help'):
        print('usage: python -m mmghost.ops SCRIPT [ARGUMENT ...]')
        sys.exit(0 if len(sys.argv) > 1 else 2)
    script = sys.argv[1]
    if not Path(script).is_file():
        sys.exit(f'error: there is no script {script}')
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name='__main__')


if __name__ == '__main__':
    main()
