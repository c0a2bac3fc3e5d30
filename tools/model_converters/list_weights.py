r"""List the published weights: where each file is and what it scores according to whom.

Examples:
    python tools/model_converters/list_weights.py
    python tools/model_converters/list_weights.py --update docs/weights.md
"""

import argparse
from pathlib import Path

from mmghost.errors import run_door
from mmghost.weights import catalogue
from mmghost.weights.reading import cached_path


def main() -> None:
    """List, or write the table into a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--update', metavar='PAGE', type=Path, help='put the table into this page'
    )
    args = parser.parse_args()
    if args.update:
        page = catalogue.with_table(args.update.read_text(encoding='utf-8'))
        args.update.write_text(page, encoding='utf-8')
        return
    for entry in catalogue.entries().values():
        print(f'{entry.name}  {entry.parameters / 1e6:.2f} M parameters')
        for weights in entry.weights:
            top1 = '; '.join(f'{value:g} % ({whose})' for value, whose in weights.top1)
            path = cached_path(weights.url)
            print(f'  {weights.tag:<10}{weights.url}\n  {"":<10}top-1 {top1}')
            print(f'  {"":<10}{"is" if path.exists() else "goes"} in {path}')


if __name__ == '__main__':
    run_door(main)
