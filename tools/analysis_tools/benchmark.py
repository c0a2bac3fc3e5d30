r"""Time networks side by side: ours, timm's and mmpretrain's, in all their forms.

Examples:
    python tools/analysis_tools/benchmark.py            # a quick look, one picture
    python tools/analysis_tools/benchmark.py --batch 1 16 --forms eager deployed \
        --models timm:ghostnetv2_100 mmghost:ghostnetv2-1.3
    python tools/analysis_tools/benchmark.py --mode train --batch 32
    python tools/analysis_tools/benchmark.py --suite all --json bench.json \
        --page docs/benchmark.md                        # what `make bench` does
    python tools/analysis_tools/benchmark.py --read a.json b.json --page page.md
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch

from mmghost.analysis.benchmark import (
    OURS,
    SUITES,
    Run,
    check_page,
    collect,
    page,
    read,
    suites,
    table,
)
from mmghost.analysis.benchmark_models import FORMS, MODELS, MODES, REFERENCE
from mmghost.errors import run_door


def main() -> None:
    """Measure and print as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--models',
        nargs='+',
        default=[REFERENCE, OURS],
        help=f'PACKAGE:NAME; the first is the reference. Known: {", ".join(MODELS)}, '
        'and any other of timm or mmpretrain',
    )
    parser.add_argument(
        '--forms',
        nargs='+',
        help=f'infer: {", ".join(MODES["infer"])}; train: {", ".join(MODES["train"])}; '
        'the first is that of the reference. Default: those of docs/benchmark.md, but '
        'compiled',
    )
    parser.add_argument('--batch', nargs='+', type=int, default=None)
    parser.add_argument(
        '--shape', nargs='+', type=int, default=[224], help='sides in px'
    )
    parser.add_argument('--mode', choices=MODES, default='infer')
    parser.add_argument(
        '--suite',
        choices=['all', *SUITES],
        help='the comparisons of docs/benchmark.md, in place of the options above',
    )
    parser.add_argument('--device', choices=FORMS, default='cpu')
    parser.add_argument('--threads', type=int, help="default: PyTorch's own choice")
    parser.add_argument(
        '--seconds', type=float, default=60, help='for the turns of one comparison'
    )
    parser.add_argument('--read', nargs='+', metavar='JSON', help='measure nothing')
    parser.add_argument(
        '--json', metavar='FILE', help='write the results; - prints them'
    )
    parser.add_argument('--page', metavar='FILE', help='write a Markdown page')
    args = parser.parse_args()

    if args.threads:
        torch.set_num_threads(args.threads)
    results = read(args.read) if args.read else None
    runs = [] if results else _runs(args)
    measured = results['runs'] if results else map(asdict, runs)
    titles = [run['title'] for run in measured]
    # Before half an hour is spent.
    earlier = check_page(args.page, titles) if args.page else ''
    results = results or collect(runs, args.seconds)
    if args.json == '-':
        print(json.dumps(results, indent=1))
    else:
        for run in results['runs']:
            print(f'\n{run["title"]}\n{table(run)}')
        if args.json:
            Path(args.json).write_text(json.dumps(results, indent=1) + '\n')
    if args.page:
        Path(args.page).write_text(page(results, earlier), encoding='utf-8')


def _runs(args: argparse.Namespace) -> list[Run]:
    if args.suite:
        chosen = SUITES if args.suite == 'all' else [args.suite]
        there = suites(args.device)
        return [run for name in chosen for run in there[name]]
    quick = [form for form in FORMS[args.device][args.mode] if 'compiled' not in form]
    forms = args.forms or quick
    batches = args.batch or [32 if args.mode == 'train' else 1]
    return [
        Run(
            f'{args.mode}, {batch} x {size} px',
            args.models,
            forms,
            batch,
            size,
            args.mode,
            (args.models[0], forms[0]),
            args.device,
        )
        for batch in batches
        for size in args.shape
    ]


if __name__ == '__main__':
    run_door(main)
