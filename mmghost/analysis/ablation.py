"""The paper's ablations as sweeps: a table's networks trained one after another.

A sweep can be stopped at any time and goes on where it was: finished rows are not
trained again, the row in work resumes from its last checkpoint. The same network in two
tables is trained once.
"""

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

from ..engine.building import build_model
from ..engine.launch import load_config, prepare_train, run_train
from ..checks.toolbox import toolbox_of
from ..errors import UserError, near
from .complexity import Complexity, complexity
from .reproduction import Row, Table, row_config
from .timing import interleave

METRIC = 'accuracy/top1'
# Settings that say where and how verbosely a training runs, not what it is.
_PLACE = ('work_dir', 'launcher', 'resume', 'load_from', 'log_level')


class Run(NamedTuple):
    """A training of a sweep.

    Attributes:
        row: The row of the table.
        seed: The seed.
        cfg: The config.
        folder: Its work_dir.
    """

    row: Row
    seed: int
    cfg: Config
    folder: Path

    @property
    def result(self) -> dict[str, Any] | None:
        """What the finished training left, or None."""
        path = self.folder / 'result.json'
        return json.loads(path.read_text()) if path.is_file() else None


def proxy_run(proxy: Config, row: Config) -> Config:
    """Put a row's network into a proxy's training.

    Args:
        proxy: Config of a short training of a classifier: its data, schedule, number of
            classes and loss are used.
        row: Config of the row: its backbone, neck and head are used.

    Returns:
        The config.

    Raises:
        UserError: If the proxy is no classification config with a head of its own.
    """
    if toolbox_of(proxy).scope != 'mmpretrain':
        raise UserError(f'--proxy {proxy.filename}: a proxy is a classification config')
    head = proxy.model.get('head') or {}
    if 'num_classes' not in head:
        raise UserError(
            f'--proxy {proxy.filename}: model.head.num_classes is missing, and every '
            'row is given as many classes as the proxy has'
        )
    cfg = deepcopy(proxy)
    cfg.model = deepcopy(row.model)
    for key in ('num_classes', 'loss', 'topk'):
        if key in head:
            cfg.model.head[key] = head[key]
    for key in ('data_preprocessor', 'train_cfg'):
        cfg.model.pop(key, None)
        if key in proxy.model:
            cfg.model[key] = proxy.model[key]
    return cfg


def data_options(proxy: Config, root: str) -> dict[str, str]:
    """Take a proxy's data from another folder.

    Args:
        proxy: The proxy's config.
        root: The folder, laid out as the proxy's own ``data_root`` is.

    Returns:
        What to override in the proxy, by dotted keys.

    Raises:
        UserError: If there is no such folder, or it lacks what the proxy reads.
    """
    options, wanted = {}, []
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if proxy.get(key) is None:
            continue
        options[f'{key}.dataset.data_root'] = root
        dataset = proxy[key]['dataset']
        prefix = dataset.get('data_prefix') or ''
        parts = list(prefix.values()) if isinstance(prefix, dict) else [prefix]
        wanted += [part for part in (*parts, dataset.get('ann_file')) if part]
    wanted = list(dict.fromkeys(wanted))
    missing = [part for part in wanted if not Path(root, part).exists()]
    what = f'has no {" and no ".join(missing)}' if missing else ''
    if not Path(root).is_dir():
        what = 'is no folder'
    if what:
        raise UserError(
            f'--data-root {root} {what} (seen from {Path.cwd()}): name the folder that '
            f'holds {" and ".join(wanted)}, as {proxy.filename} reads them'
        )
    return options


def plan(
    table: Table,
    proxy: str,
    configs: Path,
    work_dir: Path,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    options: dict[str, Any] | None = None,
) -> list[Run]:
    """List the trainings of a table.

    Args:
        table: The table.
        proxy: Path of the proxy's config.
        configs: The folder configs/.
        work_dir: Where the sweep keeps everything.
        rows: Names of the rows wanted; none for all.
        seeds: Each row is trained once for each.
        options: What to override in the proxy, by dotted keys.

    Returns:
        The trainings, in the table's order.

    Raises:
        UserError: If a row is not known, or the proxy cannot be used.
    """
    known = [row.name for row in table.rows if row.config is not None]
    for name in rows:
        if name not in known:
            raise UserError(
                f'table {table.key} has no row {name!r}; it has {", ".join(known)}'
                f'{near(name, known)}'
            )
    base = load_config(proxy, options)
    runs = []
    for row in table.rows:
        if row.config is None or (rows and row.name not in rows):
            continue
        for seed in seeds:
            cfg = proxy_run(base, row_config(row, configs))
            cfg.merge_from_dict({'randomness.seed': seed})
            name = f'{row.table}-{row.name}' if row.options else Path(row.config).stem
            # What is trained decides the folder: after a change of the proxy there is
            # a new one, and a network that stands in two tables has one.
            folder = work_dir / 'runs' / f'{name}-seed{seed}-{fingerprint(cfg)[:8]}'
            twin = next(work_dir.glob(f'runs/*-{fingerprint(cfg)[:8]}'), None)
            cfg.work_dir = str(twin or folder)
            runs.append(Run(row, seed, cfg, twin or folder))
    return runs


def fingerprint(cfg: Config) -> str:
    """Hash what a config trains: all of it but where it writes and how it starts."""
    content = {k: v for k, v in cfg.to_dict().items() if k not in _PLACE}
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sweep(runs: Sequence[Run], say: Callable[[str], None] = print) -> None:
    """Train what is not trained yet.

    Args:
        runs: See :func:`plan`.
        say: Called with a line about each training.

    Raises:
        UserError: If a config or the data must be mended first.
    """
    for i, run in enumerate(runs):
        name = f'[{i + 1}/{len(runs)}] {run.row.id}, seed {run.seed}'
        if run.result is not None:
            say(f'{name}: {run.result["top1"]:.2f} %, trained before')
            continue
        say(f'{name}: training in {run.folder}')
        run.folder.mkdir(parents=True, exist_ok=True)
        began = time.time()
        cfg = deepcopy(run.cfg)
        # Runners of one process must not share a name.
        cfg.experiment_name = f'{run.folder.name}-{time.time_ns()}'
        try:
            run_train(prepare_train(cfg, resume='auto'))
        except KeyboardInterrupt:  # whose words are of a --resume that is not here
            raise KeyboardInterrupt(
                'interrupted; the same command goes on from the end of the last epoch'
            ) from None
        gc.collect()  # ends the workers of its loaders
        top1 = last_metric(run.folder)
        _write_whole(
            run.folder / 'result.json',
            {
                'row': run.row.id,
                'seed': run.seed,
                'top1': top1,
                'seconds': round(time.time() - began, 1),
            },
        )
        say(f'{name}: {top1:.2f} %')


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    """Write a file so that a sweep stopped meanwhile leaves it whole or not at all."""
    draft = path.with_suffix('.tmp')
    draft.write_text(json.dumps(content, indent=1) + '\n')
    draft.replace(path)


def last_metric(folder: Path) -> float:
    """Read the last accuracy that a training logged, over all its resumptions.

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
    """A line of an ablation's table.

    Attributes:
        name: Name of the row.
        cost: Of its ImageNet network with 1000 classes, at the table's size.
        latency: Of one picture through that network in ms, the median; None if not
            timed.
        top1: Accuracies by the proxy in %, one for each seed that is trained.
    """

    name: str
    cost: Complexity
    latency: float | None
    top1: tuple[float, ...]


def measure(
    table: Table, runs: Sequence[Run], configs: Path, seconds: float = 20.0
) -> list[Line]:
    """Count and time the networks of a table, and collect what they were trained to.

    Args:
        table: The table.
        runs: See :func:`plan`.
        configs: The folder configs/.
        seconds: How long to time, all networks together and turn by turn; 0 not to.

    Returns:
        The lines, in the table's order.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    rows = list({run.row.name: run.row for run in runs}.values())
    models = {row.name: build_model(row_config(row, configs)).eval() for row in rows}
    size = (table.px, table.px)
    costs = {name: complexity(model, size) for name, model in models.items()}
    latencies: dict[str, float | None] = dict.fromkeys(models)
    if seconds:
        x = torch.rand(1, 3, *size, device=device)
        calls = {name: _call(model.to(device), x) for name, model in models.items()}
        with torch.no_grad():
            times = interleave(calls, seconds=seconds)
        latencies = {name: timing.median for name, timing in times.items()}
    found = []
    for row in rows:
        results = [run.result for run in runs if run.row.name == row.name]
        top1 = tuple(result['top1'] for result in results if result)
        found.append(Line(row.name, costs[row.name], latencies[row.name], top1))
    return found


def _call(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    def call() -> None:
        model(x)
        if x.is_cuda:
            torch.cuda.synchronize()

    return call


def markdown(table: Table, lines: Sequence[Line], proxy: Config, seeds: int) -> str:
    """Write an ablation's table.

    Args:
        table: The table.
        lines: See :func:`measure`.
        proxy: The proxy's config.
        seeds: How many seeds were asked for.

    Returns:
        Markdown. It says that its accuracies are a proxy's.
    """
    where = (
        'GPU'
        if torch.cuda.is_available()
        else f'CPU, {torch.get_num_threads()} threads'
    )
    epochs = proxy.train_cfg.get('max_epochs')
    text = [
        f'{table.title} - **by proxy, no ImageNet figures**: '
        f'`{Path(proxy.filename).name}`, {epochs} epochs, seeds: {seeds}. Parameters, '
        f'multiply-accumulates and latency (one picture, {where}) are those of the '
        f'network with 1000 classes at {table.px} px.',
        '',
        '| row | parameters | MACs | latency, ms | top-1 by proxy, % |',
        '|---|---|---|---|---|',
    ]
    for line in lines:
        latency = '' if line.latency is None else f'{line.latency:.1f}'
        text.append(
            f'| {line.name} | {line.cost.params / 1e6:.2f} M | '
            f'{line.cost.macs / 1e6:.1f} M | {latency} | {_spread(line.top1)} |'
        )
    return '\n'.join(text) + '\n'


def _spread(values: tuple[float, ...]) -> str:
    if not values:
        return 'not trained yet'
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f'{mean:.2f}'
    return f'{mean:.2f} ({min(values):.2f} to {max(values):.2f})'
