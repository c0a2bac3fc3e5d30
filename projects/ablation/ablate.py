"""Train the networks of the paper's tables 5 to 10 one after another.

With --proxy each network is trained on the data and with the schedule of the proxy's
config. A sweep that was stopped continues with the same command: finished rows are kept,
and the one in work resumes from its last epoch. Without --proxy nothing is trained: the
ImageNet trainings are listed, one command for each row.

Examples:
    python -m projects.ablation.ablate 9                    # the rows, their commands
    python -m projects.ablation.ablate 9 --proxy            # on Sign Digits
    python -m projects.ablation.ablate 6 9 --proxy --seeds 0 1 2
    python -m projects.ablation.ablate 6 --proxy configs/classification/mine.py \
        --rows 5 11-9-7-7 --cfg-options train_cfg.max_epochs=30
"""

import argparse
import gc
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch.utils.benchmark import Timer

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from dev.ledger import option_words
from mmghost.analysis import Complexity, complexity, default_shape
from mmghost.checks.toolbox import scope_of
from mmghost.engine.building import build_model
from mmghost.engine.launch import load_config, prepare_train, run_train
from mmghost.engine.options import add_cfg_options
from mmghost.errors import UserError, cli_main, did_you_mean

from .tables import ROOT, TABLES, TITLES, Row

PROXY = 'projects/ablation/configs/proxy_sign-digits.py'
METRIC = 'accuracy/top1'
# Where and how verbosely a training runs, not what it is.
PLACE = ('work_dir', 'launcher', 'resume', 'load_from', 'log_level')


class Run(NamedTuple):
    """A training of a sweep.

    Attributes:
        row: The row's name.
        seed: The seed.
        cfg: The config.
        folder: Its work_dir.
    """

    row: str
    seed: int
    cfg: Config
    folder: Path

    @property
    def top1(self) -> float | None:
        """Accuracy of the finished training in %, or None."""
        path = self.folder / 'result.json'
        return json.loads(path.read_text())['top1'] if path.is_file() else None


def proxy_config(proxy: Config, row: Config) -> Config:
    """Put the network of a row into the training of a proxy.

    Args:
        proxy: Config of a classifier: its data, schedule, number of classes and loss are
            used.
        row: Config of the row: its backbone, neck and head are used.

    Raises:
        UserError: If the proxy is no classification config with a head of its own.
    """
    head = proxy.model.get('head') or {}
    if scope_of(proxy) != 'mmpretrain' or 'num_classes' not in head:
        raise UserError(
            f'--proxy {proxy.filename}: a proxy is a classification config with '
            'model.head.num_classes'
        )
    cfg = deepcopy(proxy)
    cfg.model = deepcopy(row.model)
    for key in ('num_classes', 'loss', 'topk'):
        if key in head:
            cfg.model.head[key] = head[key]
    if 'image_size' in cfg.model.backbone:  # of a network for one size
        cfg.model.backbone.image_size = default_shape(proxy)[0]
    for key in ('data_preprocessor', 'train_cfg'):
        cfg.model.pop(key, None)
        if key in proxy.model:
            cfg.model[key] = proxy.model[key]
    return cfg


def plan(
    key: str,
    proxy: Config,
    work_dir: Path,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
) -> list[Run]:
    """List the trainings of a table.

    Args:
        key: The table, ``'5'`` to ``'10'``.
        proxy: The proxy's config.
        work_dir: Folder of the sweep.
        rows: Names of the rows; none for all.
        seeds: Each row is trained once with each.

    Raises:
        UserError: If a row is not known, or the proxy cannot be used.
    """
    table = TABLES[key]
    for name in rows:
        if name not in table:
            raise UserError(
                f'table {key} has no row {name!r}{did_you_mean(name, table)}; it has '
                f'{", ".join(table)}'
            )
    runs = []
    for name in rows or table:
        for seed in seeds:
            cfg = proxy_config(proxy, table[name].load())
            cfg.merge_from_dict({'randomness.seed': seed})
            # What is trained decides the folder: a change of the proxy starts anew, and a
            # network of two tables is trained once.
            mark = fingerprint(cfg)
            twin = next(work_dir.glob(f'runs/*-{mark}'), None)
            folder = twin or work_dir / 'runs' / f'{key}-{name}-seed{seed}-{mark}'
            cfg.work_dir = str(folder)
            runs.append(Run(name, seed, cfg, folder))
    return runs


def fingerprint(cfg: Config) -> str:
    """Return a hash of what a config trains."""
    content = {k: v for k, v in cfg.to_dict().items() if k not in PLACE}
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def sweep(runs: Sequence[Run], say: Callable[[str], None] = print) -> None:
    """Train what is not trained yet.

    Args:
        runs: See :func:`plan`.
        say: Called with a line about each training.
    """
    for i, run in enumerate(runs):
        name = f'[{i + 1}/{len(runs)}] {run.row}, seed {run.seed}'
        if run.top1 is not None:
            say(f'{name}: {run.top1:.2f} %, trained before')
            continue
        say(f'{name}: training in {run.folder}')
        cfg = deepcopy(run.cfg)
        # Runners of one process must not share a name.
        cfg.experiment_name = f'{run.folder.name}-{time.time_ns()}'
        run_train(prepare_train(cfg, resume='auto'))
        gc.collect()  # ends the workers of its loaders
        top1 = last_metric(run.folder)
        draft = run.folder / 'result.tmp'  # never half a result
        draft.write_text(json.dumps(dict(seed=run.seed, top1=top1)) + '\n')
        draft.replace(run.folder / 'result.json')
        say(f'{name}: {top1:.2f} %')


def last_metric(folder: Path) -> float:
    """Return the last accuracy that a training logged, over all its resumptions.

    Raises:
        UserError: If it logged none.
    """
    for log in sorted(folder.glob('*/vis_data/scalars.json'), reverse=True):
        for line in reversed(log.read_text().splitlines()):
            entry = json.loads(line)
            if METRIC in entry:
                return entry[METRIC]
    raise UserError(f'{folder}: the training logged no {METRIC}; does it validate?')


class Line(NamedTuple):
    """A line of a table.

    Attributes:
        name: Name of the row.
        cost: Cost of its ImageNet network at 224 px.
        latency: Median of one image through that network in ms; None if not timed.
        top1: Accuracies by the proxy in %, one for each seed that is trained.
    """

    name: str
    cost: Complexity
    latency: float | None
    top1: tuple[float, ...]


def measure(key: str, runs: Sequence[Run], seconds: float = 2.0) -> list[Line]:
    """Count and time the networks of a table, and collect their accuracies.

    Args:
        key: The table.
        runs: See :func:`plan`.
        seconds: How long to time each network; 0 to leave it out.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    lines = []
    for name in dict.fromkeys(run.row for run in runs):
        model = build_model(TABLES[key][name].load()).eval()
        cost, latency = complexity(model), None
        if seconds:
            x = torch.rand(1, 3, 224, 224, device=device)
            call = dict(model=model.to(device), x=x)
            with torch.no_grad():
                timer = Timer(
                    'model(x)', globals=call, num_threads=torch.get_num_threads()
                )
                latency = 1e3 * timer.blocked_autorange(min_run_time=seconds).median
        top1 = [run.top1 for run in runs if run.row == name and run.top1 is not None]
        lines.append(Line(name, cost, latency, tuple(top1)))
    return lines


def markdown(key: str, lines: Sequence[Line], proxy: Config) -> str:
    """Return a table in Markdown, which says that its accuracies are a proxy's."""
    text = [
        f'Table {key}, {TITLES[key]} - **by proxy, no ImageNet figures**: '
        f'`{Path(proxy.filename).name}`, {proxy.train_cfg.get("max_epochs")} epochs. '
        'Parameters, MACs and latency (one image) are those of the network with 1000 '
        'classes at 224 px.',
        '',
        '| row | parameters | MACs | latency, ms | top-1 by proxy, % |',
        '|---|--:|--:|--:|--:|',
    ]
    for line in lines:
        latency = '' if line.latency is None else f'{line.latency:.1f}'
        text.append(
            f'| {line.name} | {line.cost.params / 1e6:.2f} M | '
            f'{line.cost.macs / 1e6:.1f} M | {latency} | {spread(line.top1)} |'
        )
    return '\n'.join(text) + '\n'


def spread(values: Sequence[float]) -> str:
    """Return mean, minimum and maximum as text."""
    if not values:
        return 'not trained yet'
    mean = f'{sum(values) / len(values):.2f}'
    return f'{mean} ({min(values):.2f} to {max(values):.2f})' if values[1:] else mean


def command(row: Row) -> str:
    """Return the command that trains a row on ImageNet."""
    words = option_words(row.options)
    options = f' --cfg-options {" ".join(words)}' if words else ''
    return f'bash tools/dist_train.sh {row.config} 8{options}'


def data_options(proxy: Config, root: str) -> dict[str, Any]:
    """Return the options that take the data of a proxy from another folder."""
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    return {f'{key}.dataset.data_root': root for key in loaders if proxy.get(key)}


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('tables', nargs='+', metavar='TABLE', choices=list(TABLES))
    parser.add_argument(
        '--proxy',
        nargs='?',
        const=PROXY,
        metavar='CONFIG',
        help='a classification config whose data and schedule each row is trained with; '
        f'without a name {PROXY}',
    )
    parser.add_argument(
        '--work-dir', type=Path, help='default: work_dirs/ablation/NAME_OF_THE_PROXY'
    )
    parser.add_argument('--data-root', help="folder of the data; default: the proxy's")
    parser.add_argument('--rows', nargs='+', default=[], help='these rows only')
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='train each row with each'
    )
    parser.add_argument(
        '--seconds', type=float, default=2.0, help='to time each network; 0 not to'
    )
    add_cfg_options(parser, what='the proxy')
    args = parser.parse_args()
    if not args.proxy and args != parser.parse_args(args.tables):
        parser.error('without --proxy nothing is trained: the other options go with it')
    return args


def main() -> None:
    """Train as the command line says."""
    args = parse_args()
    if not args.proxy:
        for key in args.tables:
            print(f'Table {key}: {TITLES[key]}')
            for name, row in TABLES[key].items():
                print(f'# {name}\n{command(row)}')
        return
    path = args.proxy if Path(args.proxy).exists() else str(ROOT / args.proxy)
    options = dict(args.cfg_options or {})
    proxy = load_config(path, options)
    if args.data_root:
        proxy.merge_from_dict(data_options(proxy, args.data_root))
    work_dir = args.work_dir or Path('work_dirs', 'ablation', Path(path).stem)
    sweeps = {}
    for key in args.tables:  # a wrong row is reported before the first training
        plan(key, proxy, work_dir, args.rows, args.seeds)
    for key in args.tables:
        # Planned one by one: a network of an earlier table may have been trained.
        sweeps[key] = plan(key, proxy, work_dir, args.rows, args.seeds)
        sweep(sweeps[key])
    for key, runs in sweeps.items():
        text = markdown(key, measure(key, runs, args.seconds), proxy)
        (work_dir / f'table_{key}.md').write_text(text)
        print(f'\n{text}')


if __name__ == '__main__':
    cli_main(main, interrupted='interrupted; the same command continues the sweep')
