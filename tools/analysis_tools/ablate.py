"""Ask the questions of the paper's tables 5 to 10 again: train a table's rows in turn.

With --proxy every row's network is trained as the proxy's config says: on its data, with
its schedule. Stopped at any time, the same command goes on where it was. Without --proxy
nothing is trained: the full ImageNet trainings are listed, a command a row.

Examples:
    python tools/analysis_tools/ablate.py 9                      # the rows, their commands
    python tools/analysis_tools/ablate.py 9 --proxy              # on Sign Digits
    python tools/analysis_tools/ablate.py 6 9 --proxy --seeds 0 1 2
    python tools/analysis_tools/ablate.py 6 --proxy configs/classification/mine.py \
        --rows 5 11-9-7-7 --cfg-options train_cfg.max_epochs=30
"""

import argparse
from pathlib import Path

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis.ablation import data_options, markdown, measure, plan, sweep
from mmghost.analysis.reproduction import table, tables
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import run_door

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
PROXY = CONFIGS / 'ablation' / 'proxy_sign-digits.py'
ABLATIONS = [key for key in tables() if key.isdigit()]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'tables',
        nargs='+',
        metavar='TABLE',
        choices=ABLATIONS,
        help=f'tables of the paper: {", ".join(ABLATIONS)}',
    )
    parser.add_argument(
        '--proxy',
        nargs='?',
        const=str(PROXY),
        metavar='CONFIG',
        help='a classification config whose data and schedule every row is trained '
        f'with; without a name {PROXY.relative_to(ROOT)}',
    )
    parser.add_argument(
        '--work-dir', type=Path, help='default: work_dirs/ablation/NAME_OF_THE_PROXY'
    )
    parser.add_argument(
        '--data-root', help='where the data are, if not where the proxy says'
    )
    parser.add_argument('--rows', nargs='+', default=[], help='these rows only')
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='train each row with each'
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=20.0,
        help='how long to time the networks of a table; 0 not to',
    )
    add_cfg_options(parser, what='the proxy')
    args = parser.parse_args()
    if not args.proxy and (args.rows or args.cfg_options or args.data_root):
        parser.error('--rows, --data-root and --cfg-options go with --proxy')
    return args


def show_commands(keys: list[str]) -> None:
    """Print the full trainings of tables."""
    for key in keys:
        print(f'{table(key).title}; published figures: docs/reproduction.md')
        for row in table(key).rows:
            print(f'# {row.name}\n{row.command}')


def main() -> None:
    """Train as the command line says."""
    args = parse_args()
    if not args.proxy:
        show_commands(args.tables)
        return
    options = dict(args.cfg_options or {})
    if args.data_root:
        options |= data_options(load_config(args.proxy, options), args.data_root)
    proxy = load_config(args.proxy, options)
    work_dir = args.work_dir or Path('work_dirs', 'ablation', Path(args.proxy).stem)
    sweeps = {}
    for key in args.tables:
        chosen = (args.proxy, CONFIGS, work_dir, args.rows, args.seeds, options)
        # Again for each table: a network of an earlier one may have been trained.
        sweeps[key] = plan(table(key), *chosen)
        sweep(sweeps[key])
    for key, runs in sweeps.items():
        lines = measure(table(key), runs, CONFIGS, args.seconds)
        text = markdown(table(key), lines, proxy, len(args.seeds))
        (work_dir / f'table_{key}.md').write_text(text)
        print(f'\n{text}')


if __name__ == '__main__':
    run_door(main)
