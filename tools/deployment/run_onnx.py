"""The same as run_model.py, by its name in version 1."""

import runpy
from pathlib import Path

if __name__ == '__main__':
    runpy.run_path(str(Path(__file__).with_name('run_model.py')), run_name='__main__')
