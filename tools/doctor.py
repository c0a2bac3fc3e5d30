"""Check the environment: versions, operators, registries, and what to do about errors.

Examples:
    python tools/doctor.py
    python tools/doctor.py --json > environment.json

Exit status: 0 if no problem was found, 1 if something is broken, 2 for a wrong flag.
"""

import argparse
import json
import runpy
import sys
from pathlib import Path

# tools/ is beside mmghost/ in a clone, and in mmghost/.mim/ when it is installed. The
# doctor is run as a file, because mmghost may be what is broken.
ROOT = Path(__file__).resolve().parents[1]
CANDIDATES = (ROOT / 'mmghost' / 'doctor.py', ROOT.parent / 'doctor.py')


def main() -> int:
    """Parse the arguments and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--json', action='store_true', help='print JSON')
    args = parser.parse_args()
    doctor = runpy.run_path(str(next(path for path in CANDIDATES if path.exists())))
    report = doctor['examine']()
    print(json.dumps(report, indent=2) if args.json else doctor['to_text'](report))
    return int(not report['ok'])


if __name__ == '__main__':
    sys.exit(main())
