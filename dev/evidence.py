"""Run the chain of docs/results.md, pretraining and transfer, and print its tables.

Pretraining on Tiny ImageNet, then RetinaNet on BCCD and DeepLabV3+ on CamVid, each from
random weights and from the pretrained ones, several seeds. A run is one thread of one
command of tools/train.py; it goes on where it stopped, and its record is a small JSON
file with the command, the curve and the time.

Examples:
    python -m dev.evidence run --jobs 2
    python -m dev.evidence run --only bccd --seeds 0
    python -m dev.evidence table
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

RECORDS = Path('docs/logs/evidence')
WORK = Path('work_dirs/evidence')
PRETRAINED = {
    'ghostnetv2-1.0': 'ghostnetv2-1.0_tiny-imagenet-100',
    'ghostnetv1-1.1': 'ghostnetv1-1.1_tiny-imagenet-100',
    'mobilenet-v2': 'mobilenet-v2_tiny-imagenet-100',
    'mobilenet-v3-large': 'mobilenet-v3-large_tiny-imagenet-100',
}
TRANSFER = {
    'bccd': ('detection/retinanet_{}_bccd-320', ''),
    'camvid': ('segmentation/{}{}_deeplabv3plus_camvid-224x224', '-d16'),
    'camvid-d8': ('segmentation/{}{}_deeplabv3plus_camvid-224x224', '-d8'),
    'camvid-d32': ('segmentation/{}{}_deeplabv3plus_camvid-224x224', '-d32'),
}
# What is compared on each data set. Stride 8 and 32 are compared from pretrained weights
# alone, with GhostNetV2 and, at stride 32, timm's trunk, which has no other.
NETWORKS = {
    'bccd': ('ghostnetv2-1.0', 'ghostnetv1-1.1', 'timm-ghostnetv2-1.0', 'mobilenet-v2'),
    'camvid': ('ghostnetv2-1.0', 'ghostnetv1-1.1', 'mobilenet-v2'),
    'camvid-d8': ('ghostnetv2-1.0',),
    'camvid-d32': ('ghostnetv2-1.0', 'timm-ghostnetv2-1.0'),
}
METRICS = ('coco/bbox_mAP', 'mIoU', 'accuracy/top1')


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
    source = network.removeprefix('timm-')
    pretraining = Run('pretraining', source, 'random', 0)
    if not pretraining.record.exists():
        raise FileNotFoundError(f'{pretraining.record}: {source} is not pretrained yet')
    (found,) = (WORK / pretraining.name).glob('epoch_*.pth')
    if source == network:
        return found
    target = found.with_name('for_timm.pth')
    if not target.exists():
        tool = 'tools/model_converters/convert_weights.py'
        subprocess.run(
            [sys.executable, tool, found, target, '--to', 'release'], check=True
        )
    return target


def train(run: Run, options: list[str]) -> None:
    """Train, test where there is a test part, and write the record."""
    if run.task == 'pretraining':
        config = f'configs/classification/{PRETRAINED[run.network]}.py'
    else:
        pattern, stride = TRANSFER[run.task]
        config = f'configs/{pattern.format(run.network, stride)}.py'
    options = [f'randomness.seed={run.seed}', *options]
    if run.init == 'pretrained':
        backbone, path = 'model.backbone', checkpoint(run.network)
        if run.network.startswith('timm'):
            file = f'{backbone}.pretrained_cfg_overlay.file={path}'
            options += [f'{backbone}.pretrained=True', file]
        else:
            # The configs of ours have None there, which must go first.
            ours = run.network.startswith('ghostnet')
            options += [
                f'{backbone}.init_cfg.type=Pretrained',
                f'{backbone}.init_cfg.checkpoint={path}',
                f'{backbone}.init_cfg.{"_delete_=True" if ours else "prefix=backbone."}',
            ]
    folder = WORK / run.name
    run.command = ['tools/train.py', config, '--cfg-options', *options]
    end = ['--work-dir', str(folder), '--resume']
    env = dict(os.environ, OMP_NUM_THREADS='1')
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'log.txt').open('a') as log:

        def call(*command: str) -> None:
            subprocess.run(
                [sys.executable, *command], env=env, stdout=log, stderr=log, check=True
            )

        call(*run.command[:2], *end, *run.command[2:])
        if run.task.startswith('camvid'):
            (last,) = folder.glob('iter_*.pth')
            call('tools/test.py', config, str(last), '--work-dir', str(folder / 'test'))
    lines = [
        json.loads(line)
        for file in sorted(folder.glob('*/vis_data/scalars.json'))
        for line in file.read_text().splitlines()
    ]
    run.curve = [
        (line['step'], round(line[metric], 4))
        for line in lines
        for metric in METRICS
        if metric in line
    ]
    steps = [line for line in lines if 'loss' in line]
    run.seconds = round(statistics.median(s['time'] for s in steps) * steps[-1]['iter'])
    if run.task.startswith('camvid'):
        (tested,) = (folder / 'test').glob('*/*.json')
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
        starts = ['pretrained'] if '-' in task else ['random', 'pretrained']
        for init, network in itertools.product(starts, NETWORKS[task]):
            if task in tasks:
                yield Run(task, network, init, seed)


def table(runs: list[Run]) -> str:
    """Return a Markdown table: mean, spread and number of runs of each setting."""
    rows = [
        '| task | network | random weights | pretrained | gain, paired |',
        '|' + '---|' * 5,
    ]
    for task, network in dict.fromkeys((run.task, run.network) for run in runs):
        scores: dict[str, dict[int, float]] = {'random': {}, 'pretrained': {}}
        for run in runs:
            if (run.task, run.network) == (task, network) and run.record.exists():
                done = json.loads(run.record.read_text())
                scores[run.init][run.seed] = done['test'] or done['curve'][-1][1]
        first, second = scores.values()
        gains = [second[seed] - first[seed] for seed in first if seed in second]
        cells = [
            spread(list(first.values())),
            spread(list(second.values())),
            spread(gains),
        ]
        rows.append(f'| {task} | {network} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(rows)


def spread(values: list[float]) -> str:
    """Return mean and standard deviation of values, and their number."""
    if not values:
        return ''
    deviation = f' ± {statistics.stdev(values):.3g}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.3g}{deviation} ({len(values)})'


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('action', choices=['run', 'table'])
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
    runs = list(plan(args.only, args.seeds))
    if args.action == 'table':
        print(table(runs))
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
