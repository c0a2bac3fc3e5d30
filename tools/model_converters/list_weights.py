r"""List the published weights: where each file is, and its accuracy with the source.

Examples:
    python tools/model_converters/list_weights.py
    python tools/model_converters/list_weights.py --update docs/weights.md
"""

import argparse
import re
from pathlib import Path

from mmghost.errors import UserError, cli_main
from mmghost.weights import catalogue
from mmghost.weights.reading import cached_path

BEGIN, END = '<!-- begin: written by list_weights.py -->', '<!-- end -->'


def main() -> None:
    """List the weights, or write them into a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--update', metavar='PAGE', type=Path, help='write the table into this page'
    )
    args = parser.parse_args()
    if args.update:
        page = with_table(args.update.read_text(encoding='utf-8'))
        args.update.write_text(page, encoding='utf-8')
        return
    for entry in catalogue.entries().values():
        print(f'{entry.name}  {entry.parameters / 1e6:.2f} M parameters')
        for weights in entry.weights:
            place = 'cache of huggingface_hub (HF_HOME)'
            if not weights.url.startswith('https://huggingface.co/'):
                place = cached_path(weights.url)
            print(f'  {weights.tag:<10}{weights.url}')
            print(f'  {"":<10}top-1 {accuracies(weights)}; downloaded to {place}')


def accuracies(weights: catalogue.Weights) -> str:
    """Return the accuracies of a file with their sources."""
    return '; '.join(f'{value:g} ({source})' for value, source in weights.top1)


def with_table(text: str) -> str:
    """Return a page with the current table between its marks."""
    rows = [
        '| model | parameters | MACs | file | ImageNet top-1, % | |',
        '|---|--:|--:|---|---|---|',
    ]
    for entry in catalogue.entries().values():
        head = (
            f'| `{entry.name}` | {entry.parameters / 1e6:.2f} M | '
            f'{entry.macs / 1e6:.1f} M |'
        )
        if not entry.weights:
            rows.append(f'{head} none published | | |')
        for w in entry.weights:
            rows.append(f'{head} [{w.tag}]({w.url}) | {accuracies(w)} | {w.note} |')
            head = '| | | |'
    pattern = re.compile(f'{re.escape(BEGIN)}.*?{re.escape(END)}', re.DOTALL)
    if not pattern.search(text):
        raise UserError(f'the page needs the lines {BEGIN} and {END}')
    table = '\n'.join(rows)
    return pattern.sub(lambda _: f'{BEGIN}\n\n{table}\n\n{END}', text)


if __name__ == '__main__':
    cli_main(main)
