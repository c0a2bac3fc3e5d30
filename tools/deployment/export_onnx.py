"""The same as export.py --to onnx, by its name in version 1."""

import runpy
import sys
from pathlib import Path

if __name__ == '__main__':
    sys.argv += ['--to', 'onnx']
    runpy.run_path(str(Path(__file__).with_name('export.py')), run_name='__main__')
