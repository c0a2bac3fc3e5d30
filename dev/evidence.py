"""Run the chain of docs/results.md, pretraining and transfer; its tables and plots.

Pretraining on Tiny ImageNet, then RetinaNet on BCCD, DeepLabV3+ on CamVid and Mask R-CNN
on nuclei, each from random weights and from the pretrained ones, several seeds. A run is
one thread of one command of tools/train.py; it goes on where it stopped, and its record
is a small JSON file with the command, the curve and the time.

Examples:
    python -m dev.evidence run --jobs 2
    python -m dev.evidence run --only bccd --seeds 0
    python -m dev.evidence table
    python -m dev.evidence plot      # docs/images/evidence.svg
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

from scipy.stats import ttest_1samp

RECORDS = Path('docs/logs/evidence')
WORK = Path('work_dirs/evidence')
OURS, V1, TIMM = 'ghostnetv2-1.0', 'ghostnetv1-1.1', 'timm-ghostnetv2-1.0'
PRETRAINED = OURS, V1, 'mobilenet-v2', 'mobilenet-v3-large'
# GhostNetV2's backbone, cut as timm's wrapper cuts it.
CUT = 'truncated-ghostnetv2-1.0'
CUT_CONFIG = f'projects/ablation/configs/retinanet_{CUT}_bccd-320.py'


class Task(NamedTuple):
    """What is compared on a data set: a config for each network, and the runs."""

    config: str
    networks: tuple[str, ...]
    starts: tuple[str, ...] = ('random', 'pretrained')
    seeds: int = 3


# Stride 8 and 32 are compared from pretrained weights alone, with GhostNetV2 and, at
# stride 32, timm's trunk, which has no other.
TRANSFER = {
    'bccd': Task(
        'detection/retinanet_{}_bccd-320', (OURS, V1, TIMM, CUT, 'mobilenet-v2')
    ),
    'camvid': Task(
        'segmentation/{}-d16_deeplabv3plus_camvid-224x224', (OURS, V1, 'mobilenet-v2')
    ),
    'camvid-d8': Task(
        'segmentation/{}-d8_deeplabv3plus_camvid-224x224', (OURS,), ('pretrained',)
    ),
    'camvid-d32': Task(
        'segmentation/{}-d32_deeplabv3plus_camvid-224x224',
        (OURS, TIMM),
        ('pretrained',),
    ),
    'camvid-320': Task(
        'segmentation/{}-d16_deeplabv3plus_camvid-320x320', (OURS,), seeds=1
    ),
    'nuclei': Task('detection/mask-rcnn_{}_light_nuclei-256', (OURS,)),
}
Setting = tuple[str, str, str]  # task, network, start
# The first that there is: masks before boxes.
METRICS = ('coco/segm_mAP', 'coco/bbox_mAP', 'mIoU', 'accuracy/top1')


@dataclass
class Run:
    """A training and, once it has ended, what came of it."""

    task: str
    network: str
    init: str
    seed: int
    command: list[str] = field(default_factory=list)
    curve: list[tuple[int, float]] = field(default_factory=list)
    test: float | None = None
    seconds: float = 0
    date: str = ''

    @property
    def name(self) -> str:
        """Task, network, start and seed."""
        return f'{self.task}_{self.network}_{self.init}_{self.seed}'

    @property
    def record(self) -> Path:
        """The file of what came of it."""
        return RECORDS / f'{self.name}.json'


def checkpoint(network: str) -> Path:
    """Return the weights that a network's transfer starts from."""
    source = network.removeprefix('timm-').removeprefix('truncated-')
    pretraining = Run('pretraining', source, 'random', 0)
    if not pretraining.record.exists():
        raise FileNotFoundError(f'{pretraining.record}: {source} is not pretrained yet')
    found = last_of(WORK / pretraining.name)
    if not network.startswith('timm-'):
        return found
    target = found.with_name('for_timm.pth')
    if not target.exists():
        tool = 'tools/model_converters/convert_weights.py'
        subprocess.run(
            [sys.executable, tool, found, target, '--to', 'release'], check=True
        )
    return target


def last_of(folder: Path) -> Path:
    """Return the last checkpoint in a folder, by mmengine's note."""
    return folder / Path((folder / 'last_checkpoint').read_text()).name


def train(run: Run, options: list[str]) -> None:
    """Train, test where there is a test part, and write the record."""
    if run.task == 'pretraining':
        config = f'configs/classification/{run.network}_tiny-imagenet-100.py'
    elif run.network == CUT:
        config = CUT_CONFIG
    else:
        config = f'configs/{TRANSFER[run.task].config.format(run.network)}.py'
    options = [f'randomness.seed={run.seed}', *options]
    if run.init == 'pretrained':
        backbone, path = 'model.backbone', checkpoint(run.network)
        if run.network.startswith('timm'):
            file = f'{backbone}.pretrained_cfg_overlay.file={path}'
            options += [f'{backbone}.pretrained=True', file]
        else:
            # The configs of ours have None there, which must go first.
            ours = run.network.startswith(('ghostnet', 'truncated'))
            options += [
                f'{backbone}.init_cfg.type=Pretrained',
                f'{backbone}.init_cfg.checkpoint={path}',
                f'{backbone}.init_cfg.{"_delete_=True" if ours else "prefix=backbone."}',
            ]
    folder = WORK / run.name
    run.command = ['tools/train.py', config, '--cfg-options', *options]
    end = ['--work-dir', str(folder), '--resume']
    path = os.pathsep.join(['.', os.environ.get('PYTHONPATH', '')])  # for projects/
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=path)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'log.txt').open('a') as log:

        def call(*command: str) -> None:
            subprocess.run(
                [sys.executable, *command], env=env, stdout=log, stderr=log, check=True
            )

        call(*run.command[:2], *end, *run.command[2:])
        # mmengine loads what fits into the networks of others, and warns. Also of a run
        # that was resumed: what it learned began from other weights.
        if 'missing keys in source state_dict' in Path(log.name).read_text():
            raise RuntimeError(
                f'{log.name}: not all of the weights were loaded; fix the config and '
                f'remove {folder}'
            )
        if run.task.startswith('camvid'):
            last = str(last_of(folder))
            call('tools/test.py', config, last, '--work-dir', str(folder / 'test'))
    lines = [
        json.loads(line)
        for file in sorted(folder.glob('*/vis_data/scalars.json'))
        for line in file.read_text().splitlines()
    ]
    run.curve = [
        (line['step'], round(line[metric], 4))
        for line in lines
        for metric in [m for m in METRICS if m in line][:1]
    ]
    steps = [line for line in lines if 'loss' in line]
    run.seconds = round(statistics.median(s['time'] for s in steps) * steps[-1]['iter'])
    if run.task.startswith('camvid'):
        tested = max((folder / 'test').glob('*/*.json'))
        run.test = round(json.loads(tested.read_text())['mIoU'], 4)
    run.date = str(date.today())
    run.record.parent.mkdir(parents=True, exist_ok=True)
    run.record.write_text(json.dumps(asdict(run)) + '\n')


def plan(tasks: list[str], seeds: list[int]) -> Iterator[Run]:
    """Return the runs, those first that others start from."""
    if 'pretraining' in tasks:
        for network in PRETRAINED:
            yield Run('pretraining', network, 'random', 0)
    for seed, task in itertools.product(seeds, TRANSFER):
        what = TRANSFER[task]
        for init, network in itertools.product(what.starts, what.networks):
            if task in tasks and seed < what.seeds:
                yield Run(task, network, init, seed)


def records(task: str, network: str = '*', init: str = '*') -> list[dict]:
    """Return the records of a task's runs, by network, start and seed."""
    paths = sorted(RECORDS.glob(f'{task}_{network}_{init}_*.json'))
    return [json.loads(path.read_text()) for path in paths]


def scores(task: str, network: str, init: str) -> dict[int, float]:
    """Return the final score of each seed, of the test part where there is one."""
    return {
        run['seed']: run['test'] or run['curve'][-1][1]
        for run in records(task, network, init)
    }


def table() -> str:
    """Return Markdown tables: pretraining, transfer, paired differences, the budget."""
    tasks = 'pretraining', 'pretraining-again'  # the same command on another machine
    rows = ['| pretrained on Tiny ImageNet | top-1, % | again |', '|---|--:|--:|']
    for network in PRETRAINED:
        both = [scores(task, network, 'random') for task in tasks]
        if any(both):
            cells = ' | '.join(spread(each, 'pretraining') for each in both)
            rows.append(f'| {network} | {cells} |')
    rows += [
        '',
        '| task, network | from random weights | pretrained |',
        '|---|--:|--:|',
    ]
    for task, what in TRANSFER.items():
        for network in what.networks:
            both = [scores(task, network, init) for init in ('random', 'pretrained')]
            if any(both):
                cells = ' | '.join(spread(each, task) for each in both)
                rows.append(f'| {task}, {network} | {cells} |')
    rows += ['', '| difference, paired by seed | | |', '|---|--:|---|']
    for label, first, second in differences():
        one, two = scores(*first), scores(*second)
        gains = {seed: one[seed] - two[seed] for seed in one if seed in two}
        if gains:
            gain = spread(gains, first[0], '+')
            rows.append(f'| {label} | {gain} | {verdict([*gains.values()])} |')
    rows += ['', '| task | runs | core hours |', '|---|--:|--:|']
    for task in (*tasks, *TRANSFER):
        if runs := records(task):
            hours = sum(run['seconds'] for run in runs) / 3600
            rows.append(f'| {task} | {len(runs)} | {hours:.1f} |')
    return '\n'.join(rows)


def differences() -> Iterator[tuple[str, Setting, Setting]]:
    """Return the questions of docs/results.md: what is compared with what."""
    for task in ('bccd', 'camvid', 'camvid-320', 'nuclei'):
        for network in TRANSFER[task].networks:
            yield (
                f'{task}, {network}: pretrained - random',
                (task, network, 'pretrained'),
                (task, network, 'random'),
            )
    for task, one, other in (
        ('bccd', OURS, V1),
        ('bccd', OURS, TIMM),
        ('bccd', CUT, TIMM),
        ('bccd', OURS, 'mobilenet-v2'),
        ('camvid', OURS, V1),
        ('camvid', OURS, 'mobilenet-v2'),
        ('camvid-d32', OURS, TIMM),
    ):
        for init in ('random', 'pretrained'):
            label = f'{task}, {init}: {one} - {other}'
            yield label, (task, one, init), (task, other, init)
    for one, two in (('camvid', 'camvid-d32'), ('camvid-d8', 'camvid')):
        label = f'{one} - {two}, {OURS}, pretrained'
        yield label, (one, OURS, 'pretrained'), (two, OURS, 'pretrained')


def spread(values: dict[int, float], task: str, sign: str = '') -> str:
    """Return mean and standard deviation over the seeds, and their number."""
    if not values:
        return '-'
    found = list(values.values())
    # AP is of 1, the others are in percent.
    digits = 3 if task in ('bccd', 'nuclei') else 2
    mean = f'{statistics.mean(found):{sign}.{digits}f}'
    if len(found) == 1:
        return f'{mean} (1)'
    return f'{mean} ± {statistics.stdev(found):.{digits}f} ({len(found)})'


def verdict(gains: list[float]) -> str:
    """Return better or worse, or a tie where a paired t-test has p above 0.05; and p."""
    if len(gains) < 3:
        return 'too few seeds'
    p = ttest_1samp(gains, 0).pvalue
    what = 'tie' if p > 0.05 else 'better' if statistics.mean(gains) > 0 else 'worse'
    return f'{what}, p {p:.2g}'


def plot(target: Path) -> None:
    """Draw the curves of every run, and the final scores as bars, dots for the seeds."""
    from matplotlib import pyplot as plt

    tasks = [task for task in ('pretraining', *TRANSFER) if records(task)]
    size = 3 * len(tasks), 6
    figure, axes = plt.subplots(2, len(tasks), figsize=size, squeeze=False)
    networks = [*PRETRAINED, TIMM, CUT]
    styles = {'random': ':', 'pretrained': '-'}
    for (curves, bars), task in zip(axes.T, tasks):
        names = [name for name in networks if records(task, name)]
        for i, name in enumerate(names):
            color = f'C{networks.index(name)}'
            for shift, init in ((-0.2, 'random'), (0.2, 'pretrained')):
                for run in records(task, name, init):
                    curves.plot(*zip(*run['curve']), styles[init], color=color)
                final = list(scores(task, name, init).values())
                if final:
                    face = color if init == 'pretrained' else 'white'
                    at, mean = i + shift, statistics.mean(final)
                    bars.bar(at, mean, 0.4, color=face, edgecolor=color)
                    bars.plot([at] * len(final), final, 'k.')
        curves.set_title(task)
        curves.set_xlabel('iteration' if task.startswith('camvid') else 'epoch')
        bars.set_xlim(-0.5, len(names) - 0.5)
        bars.set_xticks(range(len(names)), names, rotation=20, ha='right')
    axes[0, 0].set_ylabel('validation: top-1, AP or mIoU')
    axes[1, 0].set_ylabel('final')
    axes[0, -1].plot([], [], 'k:', label='random weights')
    axes[0, -1].plot([], [], 'k-', label='pretrained')
    axes[0, -1].legend()
    figure.tight_layout()
    # The same runs give the same file.
    plt.rcParams['svg.hashsalt'] = 'mmghost'
    figure.savefig(target, metadata={'Date': None})


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('action', choices=['run', 'table', 'plot'])
    every = ['pretraining', *TRANSFER]
    parser.add_argument('--only', nargs='+', choices=every, default=every)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--jobs', type=int, default=1, help='runs side by side')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        help='for each run, as in tools/train.py',
    )
    args = parser.parse_args()
    if args.action != 'run' and args != parser.parse_args([args.action]):
        parser.error('the options are those of run')
    runs = list(plan(args.only, args.seeds))
    if args.action == 'table':
        print(table())
        return
    if args.action == 'plot':
        plot(Path('docs/images/evidence.svg'))
        return
    left = [run for run in runs if not run.record.exists()]
    # In rounds: a run needs the weights of those before it.
    for stage in (['pretraining'], list(TRANSFER)):
        with ThreadPoolExecutor(args.jobs) as pool:
            several = [run for run in left if run.task in stage]
            for run in pool.map(lambda r: train(r, args.cfg_options) or r, several):
                print(run.name, run.test or run.curve[-1][1], flush=True)


if __name__ == '__main__':
    main()
