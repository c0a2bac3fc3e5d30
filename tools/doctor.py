"""Examine the environment: versions, operators, registries, and how to mend each fault.

Examples:
    python tools/doctor.py
    python tools/doctor.py --json > environment.json

Exit status: 0 where all is well, 1 where something must be mended, 2 for a wrong flag.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType


def load_doctor() -> ModuleType:
    """Load mmghost's doctor without importing mmghost, which may be what is broken."""
    here = Path(__file__).resolve()
    # tools/ stands beside mmghost/ in a clone, and in mmghost/.mim/ when installed.
    path = here.parents[1] / 'mmghost' / 'doctor.py'
    if not path.exists():
        path = here.parents[2] / 'doctor.py'
    spec = importlib.util.spec_from_file_location('mmghost_doctor', path)
    doctor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(doctor)
    return doctor


def main() -> int:
    """Print the report; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--json', action='store_true', help='print it as JSON')
    args = parser.parse_args()
    report = load_doctor().examine()
    if args.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        print(report.to_text())
    return 1 if report.problems else 0


if __name__ == '__main__':
    sys.exit(main())
