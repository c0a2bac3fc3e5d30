"""Make docs/reproduction.md, the ledger of what is reproduced, from its data file.

The files that MIM reads, model-index.yml and a metafile.yml in each folder of configs, are
made with it: from the same data, the configs and the list of published weights.

Examples:
    python tools/analysis_tools/reproduction.py             # count new rows, make the files
    python tools/analysis_tools/reproduction.py --recount   # count all of them again
    python tools/analysis_tools/reproduction.py --record 9/clip-before work_dirs/clip
"""

import argparse
from pathlib import Path

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis.metafiles import write_metafiles
from mmghost.analysis.reproduction import record, render, write_costs
from mmghost.errors import run_door

ROOT = Path(__file__).resolve().parents[2]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--recount', action='store_true', help='count also what has been counted before'
    )
    parser.add_argument(
        '--record',
        nargs=2,
        metavar=('TABLE/ROW', 'WORK_DIR'),
        help='enter the figure of a finished training into the ledger',
    )
    return parser.parse_args()


def main() -> None:
    """Do as the command line says."""
    args = parse_args()
    configs, docs = ROOT / 'configs', ROOT / 'docs'
    if args.record:
        row, work_dir = args.record
        value = record(row, Path(work_dir), configs, docs / 'logs')
        print(f'{row}: {value:g}')
    for row, changed in write_costs(configs, args.recount):
        print(f'{row}: {"counted" if changed else "as before"}', flush=True)
    page = docs / 'reproduction.md'
    page.write_text(render(), encoding='utf-8')
    made = [str(page.relative_to(ROOT)), *write_metafiles(configs)]
    print('made', *made, sep='\n  ')


if __name__ == '__main__':
    run_door(main)
