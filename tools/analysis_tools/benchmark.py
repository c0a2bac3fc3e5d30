r"""Time networks side by side: ours, timm's, mmpretrain's, and those of another checkout.

The measurement is in dev/, which is part of a clone and not of the wheel.

Examples:
    python tools/analysis_tools/benchmark.py            # a quick look, one image
    python tools/analysis_tools/benchmark.py --batch 1 16 --forms eager deployed \
        --models timm:ghostnetv2_100 mmghost:ghostnetv2-1.3
    python tools/analysis_tools/benchmark.py --mode train --batch 32
    python tools/analysis_tools/benchmark.py --suite quick --against ../other-checkout
    python tools/analysis_tools/benchmark.py --suite all --json bench.json \
        --page docs/benchmark.md                        # what `make bench` does
    python tools/analysis_tools/benchmark.py --read a.json b.json --page page.md
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from mmghost.errors import UserError, cli_main

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--models',
        nargs='+',
        default=['timm:ghostnetv2_100', 'mmghost:ghostnetv2-1.0'],
        help='mmghost:ghostnetv2-WIDTH (or v1, v3), timm:NAME or mmpretrain:NAME; the '
        'others are compared with the first',
    )
    parser.add_argument(
        '--forms',
        nargs='+',
        help='eager, channels-last, folded, deployed (both), compiled, onnxruntime, '
        'openvino, amp; with --mode train eager, channels-last, compiled, amp. Default: '
        'all but compiled and amp',
    )
    parser.add_argument('--batch', nargs='+', type=int)
    parser.add_argument(
        '--shape', nargs='+', type=int, default=[224], help='sides in px'
    )
    parser.add_argument('--mode', choices=['infer', 'train'], default='infer')
    parser.add_argument(
        '--suite',
        help='quick, all, or one of the comparisons of docs/benchmark.md, in place of '
        'the options above',
    )
    parser.add_argument(
        '--against',
        metavar='CHECKOUT',
        help='time the same networks of another checkout of mmghost beside ours',
    )
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--threads', type=int, help="default: PyTorch's own choice")
    parser.add_argument(
        '--seconds', type=float, default=60, help='for the turns of one comparison'
    )
    parser.add_argument('--read', nargs='+', metavar='JSON', help='measure nothing')
    parser.add_argument(
        '--json', metavar='FILE', help='write the results; - prints them'
    )
    parser.add_argument('--page', metavar='FILE', help='write a Markdown page')
    return parser.parse_args()


def runs_of(args: argparse.Namespace) -> list:
    """Return the comparisons that the command line asks for."""
    from dev.benchmark import Run, suites, with_checkout

    if args.suite:
        known = suites(args.device, args.against)
        names = (
            [n for n in known if n != 'quick'] if args.suite == 'all' else [args.suite]
        )
        if args.suite not in (*known, 'all'):
            raise UserError(f'--suite {args.suite}: there are all, {", ".join(known)}')
        return [run for name in names for run in known[name]]
    quick = ['eager', 'channels-last']
    if args.mode == 'infer':
        quick += ['folded', 'deployed']
        quick += ['onnxruntime', 'openvino'] if args.device == 'cpu' else []
    models = with_checkout(args.models, args.against)
    return [
        Run(
            f'{args.mode}, {batch} x {size} px',
            models,
            args.forms or quick,
            batch,
            size,
            args.mode,
            device=args.device,
        )
        for batch in args.batch or [32 if args.mode == 'train' else 1]
        for size in args.shape
    ]


def main() -> None:
    """Measure and print as the command line says."""
    args = parse_args()
    try:
        from dev.benchmark import collect, page, read, table
    except ModuleNotFoundError as error:
        raise UserError(
            f'{error}: the benchmark is in the folder dev/ of a clone of mmghost, the '
            'installed package does not have it'
        ) from error
    if args.threads:
        torch.set_num_threads(args.threads)
    results = read(args.read) if args.read else collect(runs_of(args), args.seconds)
    if args.json == '-':
        print(json.dumps(results, indent=1))
    else:
        for run in results['runs']:
            print(f'\n{run["title"]}\n{table(run)}')
        if args.json:
            Path(args.json).write_text(json.dumps(results, indent=1) + '\n')
    if args.page:
        target = Path(args.page)
        earlier = target.read_text(encoding='utf-8') if target.exists() else ''
        target.write_text(page(results, earlier), encoding='utf-8')


if __name__ == '__main__':
    cli_main(main)
