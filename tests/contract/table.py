"""The table of backbones and promises: ``python -m tests.contract.table``.

Examines ours and the peers that are installed, prints what each kept, and with
``--out docs/contract.md`` writes the page.
"""

import argparse
import datetime
import io
import logging
import os
import platform
import warnings
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.contract.backbones import OURS, PEERS, Backbone, Lacking
from tests.contract.promises import PROMISES, short

KEPT, BROKEN, NO_ARGUMENT = 'yes', '**no**', '-'
DISTRIBUTIONS = ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmsegmentation', 'mmpretrain')

PAGE = """# What a backbone promises

Made by `python -m tests.contract.table --out docs/contract.md`, in five to ten minutes on two cores: do
not edit. With `--only CSPNeXt` in place of `--out` it prints the table of one backbone.
{date}, on a CPU, {versions}.

Each row is a function of [tests/contract/promises.py](../tests/contract/promises.py),
run over our backbones and, as they are, over backbones that people use instead. `yes`: kept;
`{broken}`: broken, see below; `{none}`: there is no such argument. For ours the tests assert every
row; of the others nothing is asserted, and a fault of theirs need not hurt you: it is one where
you use what the row names.

*Refused* asks for a ValueError, TypeError or AssertionError: an IndexError or AttributeError
names no argument, and counts as broken. What *changes no number* is judged by the maps that the
backbone returns, not by layers behind them. [why.md](why.md) counts every error as a refusal and
looks at all of the trunk, so it has other answers for timm's.

{columns}

{table}

## What broke

{broken_list}
"""


def examine(backbone: Backbone, words: str) -> tuple[str, str]:
    """Put one backbone to one promise.

    Returns:
        A cell of the table, and the reason where the promise is broken.
    """
    noise = io.StringIO()
    try:
        with redirect_stdout(noise), redirect_stderr(noise):
            PROMISES[words](backbone)
    except Lacking:
        return NO_ARGUMENT, ''
    except Exception as error:
        return BROKEN, short(error) or type(error).__name__
    return KEPT, ''


def installed(backbones: list[Backbone]) -> list[Backbone]:
    """List the backbones that can be built here: what cannot breaks no promise.

    What is left out is printed with the reason.
    """
    found = []
    for backbone in backbones:
        try:
            backbone.build()
        except ImportError as error:
            print(f'{backbone}: left out, {error}', flush=True)
        else:
            found.append(backbone)
    return found


def table(backbones: list[Backbone]) -> tuple[str, str, str]:
    """Examine all backbones.

    Returns:
        The legend of the columns, the table and the list of what broke, in Markdown.
    """
    cells = {words: [] for words in PROMISES}
    broken = []
    for number, backbone in enumerate(backbones, 1):
        reasons = []
        for words in PROMISES:
            cell, reason = examine(backbone, words)
            cells[words].append(cell)
            if reason:
                reasons.append(f'- {words}: {reason}')
        kept = sum(column[-1] == KEPT for column in cells.values())
        print(f'{backbone}: {kept} kept, {len(reasons)} broken', flush=True)
        if reasons:
            broken.append('\n'.join([f'### {number}. {backbone}', '', *reasons]))
    columns = '\n'.join(f'{i}. {b}' for i, b in enumerate(backbones, 1))
    heads = ' | '.join(str(i + 1) for i in range(len(backbones)))
    rows = [f'| | {heads} |', '|---' * (len(backbones) + 1) + '|']
    rows += [f'| {words} | {" | ".join(row)} |' for words, row in cells.items()]
    return columns, '\n'.join(rows), '\n\n'.join(broken) or 'Nothing.'


def versions() -> str:
    """Name the versions of what is examined, of whichever stack."""
    found = [f'Python {platform.python_version()}']
    for name in DISTRIBUTIONS:
        for distribution in (name, f'onedl-{name.replace("mmdet", "mmdetection")}'):
            try:
                found.append(f'{distribution} {version(distribution)}')
            except PackageNotFoundError:
                continue
    return ', '.join(found)


def main() -> None:
    """Print the table, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, help='write the page to this file')
    parser.add_argument('--only', help='only backbones whose name contains this')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    os.environ.setdefault('HF_HUB_OFFLINE', '1')  # timm asks for no weights here
    backbones = [b for b in OURS + PEERS if not args.only or args.only in b.name]
    columns, rows, broken = table(installed(backbones))
    print(f'\n{columns}\n\n{rows}\n\n{broken}')
    if args.out:
        page = PAGE.format(
            date=datetime.date.today(),
            versions=versions(),
            columns=columns,
            table=rows,
            broken_list=broken,
            broken=BROKEN,
            none=NO_ARGUMENT,
        )
        args.out.write_text(page, encoding='utf-8')


if __name__ == '__main__':
    main()
