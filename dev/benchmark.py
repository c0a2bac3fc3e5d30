"""The benchmark of tools/analysis_tools/benchmark.py: what is timed, tables, the page."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mmghost.errors import UserError

from .networks import FORMS
from .timing import Timing, interleave, machine
from .worker import Worker

REFERENCE = 'timm:ghostnetv2_100'
OURS = 'mmghost:ghostnetv2-1.0'
MODELS = (
    REFERENCE,
    OURS,
    'timm:mobilenetv3_large_100',
    'timm:mobilenetv2_100',
    'mmpretrain:mobilenet-v3-large_8xb128_in1k',
    'mmpretrain:mobilenet-v2_8xb32_in1k',
)
PLAIN = ('eager', 'channels-last', 'deployed')
# What stands behind this line of the page is written by hand, and stays.
BY_HAND = '<!-- Above: written by make bench. Below: by hand. -->'


@dataclass
class Run:
    """A comparison: networks in forms, on one batch of one size.

    Args:
        title: Heading of its table.
        models: The networks, see :mod:`dev.networks`; ``PACKAGE@CHECKOUT:NAME`` takes
            mmghost from another checkout.
        forms: The forms, those of the mode.
        batch: Number of images.
        size: Height and width of the images in px.
        mode: ``'infer'`` or ``'train'``.
        reference: Network and form that the others are compared with; by default the
            first ones.
        device: ``'cpu'`` or ``'cuda'``.

    Raises:
        UserError: If there is no such form or device.
    """

    title: str
    models: Sequence[str]
    forms: Sequence[str]
    batch: int = 1
    size: int = 224
    mode: str = 'infer'
    reference: tuple[str, str] | None = None
    device: str = 'cpu'

    def __post_init__(self) -> None:
        known = FORMS[self.mode]
        for form in self.forms:
            if form not in known:
                raise UserError(
                    f'--forms {form}: with --mode {self.mode} there are '
                    f'{", ".join(known)}'
                )
        if self.device == 'cuda' and not torch.cuda.is_available():
            raise UserError('--device cuda: PyTorch sees no GPU')
        self.reference = self.reference or (self.models[0], self.forms[0])


def suites(device: str = 'cpu', against: str | None = None) -> dict[str, list[Run]]:
    """Return the comparisons of docs/benchmark.md and the quick one, by name.

    Args:
        device: ``'cpu'`` or ``'cuda'``, with the forms that there are for it.
        against: A checkout of mmghost, whose network is timed beside ours.
    """
    infer, train = (
        (('folded', 'compiled', 'onnxruntime', 'openvino'), 32)
        if device == 'cpu'
        else (('folded', 'compiled', 'amp'), 128)
    )
    infer = ('eager', 'channels-last', *infer[:1], 'deployed', *infer[1:])
    two = with_checkout((REFERENCE, OURS), against)
    several = with_checkout(MODELS, against)
    steps = dict(batch=train, mode='train', device=device)
    return {
        'batch-1': [Run('One image of 224 px', several, infer, device=device)],
        'batch-16': [Run('16 images of 224 px', several, infer, 16, device=device)],
        'sizes': [
            Run(f'One image of {size} px', two, PLAIN, size=size, device=device)
            for size in (320, 512, 800, 1280)
        ],
        'train': [
            Run(
                f'Training step, {train} images of 224 px',
                several[:-2],  # not mmpretrain's, which are timm's networks
                ('eager', 'channels-last'),
                **steps,
            )
        ],
        'train-compiled': [
            Run(
                f'Training step, compiled, {train} images of 224 px',
                two,
                ('eager', 'channels-last', 'compiled'),
                **steps,
            )
        ],
        'quick': [
            Run('One image of 224 px', two, PLAIN, device=device),
            Run('16 images of 224 px', two, PLAIN, 16, device=device),
            Run(
                f'Training step, {train} images of 224 px',
                two,
                ('channels-last',),
                **steps,
            ),
        ],
    }


def with_checkout(models: Sequence[str], against: str | None) -> list[str]:
    """Return the networks with those of another checkout beside ours."""
    found = []
    for name in models:
        found.append(name)
        package, _, network = name.rpartition(':')
        if against and package == 'mmghost':
            found.append(f'mmghost@{against}:{network}')
    return found


def measure(run: Run, seconds: float = 60) -> dict[str, Any]:
    """Measure a comparison.

    Args:
        run: The comparison.
        seconds: How long the turns may take, without the preparation.

    Returns:
        Settings and ``rows``: network, form and :class:`.Timing`, or ``missing``, the
        reason why a network cannot be had in a form.
    """
    clocks, rows, workers = {}, [], []
    for name in run.models:
        package, _, network = name.rpartition(':')
        package, _, folder = package.partition('@')
        worker = Worker(folder or None, torch.get_num_threads())
        workers.append(worker)
        for form in run.forms:
            # What comes after PyTorch is shown of timm's, which has the same networks.
            if package == 'mmpretrain' and form not in PLAIN:
                continue
            print(f'{run.title}: {name}, {form}', file=sys.stderr, flush=True)
            what = (run.mode, run.batch, run.size, run.device)
            answer = worker.ask('prepare', f'{package}:{network}', form, *what)
            rows.append(dict(model=name, form=form))
            if 'missing' in answer:
                rows[-1].update(answer)
            else:
                clocks[name, form] = partial(worker.ask, 'time', answer['index'])
    reference = run.reference if run.reference in clocks else next(iter(clocks), None)
    if reference is None:
        raise UserError(f'{run.title}: {rows[0]["missing"]}')
    print(f'{run.title}: {len(clocks)} calls take turns', file=sys.stderr, flush=True)
    times = interleave(clocks, reference, seconds=seconds)
    for worker in workers:
        worker.close()
    for row in rows:
        if (row['model'], row['form']) in times:
            row.update(times[row['model'], row['form']]._asdict())
    return {**asdict(run), 'reference': list(reference), 'rows': rows}


def collect(runs: Sequence[Run], seconds: float = 60) -> dict[str, Any]:
    """Measure comparisons; the result is ready for JSON."""
    return dict(machine=machine(), runs=[measure(run, seconds) for run in runs])


def read(paths: Sequence[str]) -> dict[str, Any]:
    """Read results written as JSON, and put them together.

    Raises:
        UserError: If they are of different machines.
    """
    parts = [json.loads(Path(path).read_text(encoding='utf-8')) for path in paths]
    for path, part in zip(paths, parts):
        if part['machine'] != parts[0]['machine']:
            raise UserError(f'{path}: measured elsewhere or otherwise than {paths[0]}')
    return dict(
        machine=parts[0]['machine'],
        runs=[run for part in parts for run in part['runs']],
    )


def table(run: dict[str, Any]) -> str:
    """Return a comparison as a Markdown table."""
    lines = [
        '| network | form | ms | IQR | speedup | IQR |',
        '|---|---|--:|--:|--:|--:|',
    ]
    for row in run['rows']:
        head = f'| {row["model"]} | {row["form"]} |'
        if 'missing' in row:
            lines.append(f'{head} {row["missing"].splitlines()[0]} | | | |')
            continue
        t = Timing(*(row[field] for field in Timing._fields))
        lines.append(
            f'{head} {t.median:.1f} | {t.low:.1f} to {t.high:.1f} | {t.speedup:.2f} '
            f'| {t.speedup_low:.2f} to {t.speedup_high:.2f} |'
        )
    return '\n'.join(lines)


def page(results: dict[str, Any], earlier: str = '') -> str:
    """Return the results as a page of the documentation.

    Args:
        results: Of :func:`collect` or :func:`read`.
        earlier: The page as it was; what stands behind :data:`BY_HAND` stays.
    """
    where = results['machine']
    versions = ', '.join(f'{k} {v}' for k, v in where['versions'].items())
    threads = f'{where["threads"]} thread{"s" * (where["threads"] != 1)}'
    on_gpu = any(run['device'] == 'cuda' for run in results['runs'])
    device = where['gpu'] if on_gpu else f'CPU, {threads}'
    parts = [
        INTRODUCTION,
        f'{where["date"]}; {where["processor"]}, {device}, float32; {where["system"]}; '
        f'{versions}.',
    ]
    for run in results['runs']:
        network, form = run['reference']
        parts += [f'## {run["title"]}', f'Speedup over {network}, {form}.', table(run)]
    by_hand = earlier.partition(BY_HAND)[2].strip()
    return '\n\n'.join([*parts, BY_HAND, by_hand]).strip() + '\n'


INTRODUCTION = """\
# Speed

Written by `make bench` in about half an hour; every figure in the tables is measured.
`python tools/analysis_tools/benchmark.py` is a quick look at one image; `--help` has more.

The networks of a table take turns, each turn in another order, each in a process of its own.
A turn is one call that is not timed, then calls for 0.05 s, at least one, whose mean
counts. Times are medians over the turns, speedups medians of the ratios turn by turn, with
their interquartile ranges (IQR). Differences of less than a tenth are noise. All processes
keep the memory that they free (`MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1`, see below).
The forms:

- *eager*: the network as it is built, on a contiguous image;
- *channels-last*: network and images with `.to(memory_format=torch.channels_last)`;
- *folded*: batch norms folded, ours by `switch_to_deploy()`, others convolution by
  convolution;
- *deployed*: folded, in channels-last;
- *compiled*: deployed, with `torch.compile` and the compiler's `freezing`; of a training
  step channels-last and `torch.compile`;
- *onnxruntime*, *openvino*: exported by tracing, ours folded, the others as they are (these
  runtimes fold batch norms themselves);
- *amp*: channels-last with `torch.autocast`.

A network `mmghost@FOLDER:NAME` is that of another checkout."""
