"""Compare GhostNetV2 here with timm's in mmpretrain's TIMMBackbone; needs no data.

Both are built from the packages that are installed, and the tables say what was found:
maps, parameters, weights that load, conversions, what each takes and refuses.

Examples:
    python tools/analysis_tools/compare_timm.py
    python tools/analysis_tools/compare_timm.py --json
    python tools/analysis_tools/compare_timm.py --page docs/why.md
"""

import argparse
import json
from pathlib import Path

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis.timm_comparison import compare, render, versions, with_tables
from mmghost.errors import UserError, run_door


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.add_argument(
        '--page', type=Path, metavar='FILE', help='put the tables into this page'
    )
    return parser.parse_args()


def main() -> None:
    """Compare, and print or write."""
    args = parse_args()
    try:
        tables = compare()
    except ImportError as error:
        raise UserError(
            f'{error}: the comparison needs mmpretrain and timm, which `make env` '
            'installs'
        ) from None
    if args.json:
        data = {table.title: [row._asdict() for row in table.rows] for table in tables}
        print(json.dumps({'versions': versions(), **data}, indent=1))
    elif args.page:
        try:
            page = with_tables(args.page.read_text(encoding='utf-8'), render(tables))
        except (OSError, ValueError) as error:
            raise UserError(f'{args.page}: {error}') from None
        args.page.write_text(page, encoding='utf-8')
        print(f'made {args.page}')
    else:
        print(f'{versions()}\n\n{render(tables)}', end='')


if __name__ == '__main__':
    run_door(main)
