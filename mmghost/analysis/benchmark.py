"""The benchmark of ``tools/analysis_tools/benchmark.py``: what is timed, and the page."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from .benchmark_models import (
    FORMS,
    MODELS,
    MODES,
    REFERENCE,
    build,
    macs,
    synchronised,
)
from .timing import Timing, interleave, machine, peak_memory

OURS = 'mmghost:ghostnetv2-1.0'
PLAIN = ('eager', 'channels-last', 'deployed')
PEERS = (OURS, 'timm:mobilenetv3_large_100', 'timm:mobilenetv2_100')


# What people write behind this line of the page is kept when it is written anew.
BY_HAND = '<!-- Above: written by make bench. Below: by hand. -->'


@dataclass
class Run:
    """One comparison: every network in every form, on one batch of one size.

    Args:
        title: What it is about.
        models: The networks, see :mod:`mmghost.analysis.benchmark_models`.
        forms: The forms, of the mode's.
        batch: Pictures at once.
        size: Side of the pictures in px.
        mode: ``'infer'`` or ``'train'``.
        reference: Model and form that the others are compared with.
        device: ``'cpu'`` or ``'cuda'``.
    """

    title: str
    models: Sequence[str]
    forms: Sequence[str]
    batch: int = 1
    size: int = 224
    mode: str = 'infer'
    reference: tuple[str, str] = (REFERENCE, 'eager')
    device: str = 'cpu'

    def __post_init__(self) -> None:
        known = MODES[self.mode]
        for form in self.forms:
            if form not in known:
                raise UserError(
                    f'--forms {form}: with --mode {self.mode} there are '
                    f'{", ".join(known)}'
                )
        if self.batch < 1 or self.size < 32:
            raise UserError(
                f'--batch {self.batch} --shape {self.size}: at least 1 picture of 32 px'
            )
        if self.mode == 'train' and self.batch < 2:
            raise UserError('--mode train needs a --batch of at least 2')
        if self.device == 'cuda' and not torch.cuda.is_available():
            raise UserError(
                '--device cuda: PyTorch sees no GPU; python tools/doctor.py says why'
            )


# Their memory is PyTorch's own; that of compiled networks and graphs is elsewhere.
WEIGHED = (*PLAIN, 'amp')


def suites(device: str = 'cpu') -> dict[str, list[Run]]:
    """The comparisons of docs/benchmark.md, by name.

    Args:
        device: ``'cpu'``, or ``'cuda'`` for the same with the forms that there are for
            GPUs, and as many pictures a step as the ImageNet recipe has on each.
    """
    forms = FORMS[device]
    plain = PLAIN if device == 'cpu' else (*PLAIN, 'amp')
    batch = 32 if device == 'cpu' else 128
    steps = dict(batch=batch, mode='train', device=device)
    return {
        'batch-1': [
            Run('One picture of 224 px', MODELS, forms['infer'], device=device)
        ],
        'batch-16': [
            Run('16 pictures of 224 px', MODELS, forms['infer'], 16, device=device)
        ],
        'sizes': [
            Run(
                f'Growing pictures: {size} px',
                (REFERENCE, OURS),
                plain,
                size=size,
                device=device,
            )
            for size in (224, 320, 512, 800, 1280)
        ],
        'train': [
            Run(
                f'Training step, {batch} pictures of 224 px',
                (REFERENCE, *PEERS),
                [form for form in forms['train'] if 'compiled' not in form],
                **steps,
            )
        ],
        'train-compiled': [
            Run(
                f'Training step, compiled, {batch} pictures of 224 px',
                (REFERENCE, OURS),
                forms['train'],
                **steps,
            )
        ],
    }


SUITES = tuple(suites())


def measure(run: Run, seconds: float = 60, progress: bool = True) -> dict[str, Any]:
    """Measure one comparison.

    Args:
        run: What is compared.
        seconds: How long the turns may take, without what comes before them.
        progress: Whether to tell on stderr what is being prepared.

    Returns:
        The run's settings, and ``rows``: model, form, times in ms, ratios, peak memory
        of tensors in bytes (not for forms outside PyTorch) and, for models that could
        not be had in a form, the reason.
    """

    def tell(text: str) -> None:
        if progress:
            print(text, file=sys.stderr, flush=True)

    torch.manual_seed(0)
    x = torch.randn(run.batch, 3, run.size, run.size).to(run.device)
    calls, rows = {}, []
    for name in run.models:
        tell(f'{run.title}: {name}')
        try:
            model = build(name)
            cost = macs(model, run.size)
        except UserError as error:
            rows.append(dict(model=name, form=None, missing=str(error)))
            continue
        for form in run.forms:
            # What comes after PyTorch is told of timm's, which has the same networks.
            if name.startswith('mmpretrain:') and form not in PLAIN:
                continue
            try:
                call = MODES[run.mode][form](model, x)
                calls[name, form] = synchronised(call) if x.is_cuda else call
            except (ImportError, UserError) as error:
                rows.append(dict(model=name, form=form, missing=str(error)))
                continue
            rows.append(dict(model=name, form=form, macs=cost))
    reference = run.reference if run.reference in calls else next(iter(calls), None)
    if reference is None:
        raise UserError(f'{run.title}: {rows[0]["missing"] if rows else "no models"}')
    tell(f'{run.title}: {len(calls)} calls take turns')
    times = interleave(calls, reference, seconds=seconds, warmup=2)
    for row in rows:
        call = calls.get((row['model'], row['form']))
        if call is None:
            continue
        row.update(times[row['model'], row['form']]._asdict())
        if row['form'] in WEIGHED:
            row['memory'] = peak_memory(call, getattr(call, 'held', 0), run.device)
    return {**asdict(run), 'reference': list(reference), 'rows': rows}


def collect(
    runs: Sequence[Run], seconds: float = 60, progress: bool = True
) -> dict[str, Any]:
    """Measure several comparisons.

    Args:
        runs: The comparisons.
        seconds: As in :func:`measure`.
        progress: As in :func:`measure`.

    Returns:
        ``machine`` and ``runs``, ready for JSON.
    """
    measured = [measure(run, seconds, progress) for run in runs]
    return dict(machine=machine(), runs=measured)


def read(paths: Sequence[str]) -> dict[str, Any]:
    """Read results that were written as JSON, and put them together.

    Raises:
        UserError: If a file is none of them, or they are of different machines.
    """
    found: dict[str, Any] | None = None
    for path in paths:
        try:
            content = json.loads(Path(path).read_text(encoding='utf-8'))
            runs, where = content['runs'], content['machine']
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f'{path}: no results of a benchmark: {error!r}') from None
        if found is None:
            found = dict(machine=where, runs=[])
        if where != found['machine']:
            raise UserError(f'{path}: measured elsewhere or otherwise than {paths[0]}')
        found['runs'] += runs
    return found or dict(machine={}, runs=[])


# Tables. -------------------------------------------------------------------------------


def table(run: dict[str, Any]) -> str:
    """Write one comparison as a Markdown table."""
    lines = [
        '| network | form | ms | middle half | times as fast | middle half | memory |',
        '|---|---|--:|--:|--:|--:|--:|',
    ]
    for row in run['rows']:
        if 'missing' in row:
            first = row['missing'].splitlines()[0]
            lines.append(f'| {row["model"]} | {row["form"] or ""} | {first} | | | | |')
            continue
        timing = Timing(*(row[field] for field in Timing._fields))
        memory = f'{row["memory"] / 2**20:.0f} MiB' if 'memory' in row else ''
        lines.append(
            f'| {row["model"]} | {row["form"]} | {timing.median:.1f} '
            f'| {timing.low:.1f} to {timing.high:.1f} | {timing.ratio:.2f} '
            f'| {timing.ratio_low:.2f} to {timing.ratio_high:.2f} | {memory} |'
        )
    return '\n'.join(lines)


def growth(runs: Sequence[dict[str, Any]]) -> str:
    """Write how time and memory for one pixel grow with the size of the picture."""
    lines = [
        '| network | form | px | ms | ns a pixel | against the first | bytes a pixel |'
    ]
    lines.append('|---|---|--:|--:|--:|--:|--:|')
    first: dict[tuple[str, str], float] = {}
    rows = [
        (row['model'], row['form'], run['size'], run['batch'], row)
        for run in runs
        for row in run['rows']
        if 'missing' not in row
    ]
    for model, form, size, batch, row in sorted(rows, key=lambda entry: entry[:3]):
        pixels = batch * size**2
        cost = row['median'] * 1e6 / pixels
        base = first.setdefault((model, form), cost)
        memory = f'{row["memory"] / pixels:.0f}' if 'memory' in row else ''
        lines.append(
            f'| {model} | {form} | {size} | {row["median"]:.1f} | {cost:.0f} '
            f'| {cost / base:.2f} | {memory} |'
        )
    return '\n'.join(lines)


GROWTH = 'From 224 to 1280 px'


def is_growth(title: str) -> bool:
    """Tell whether a comparison is one of those that make up the table of sizes."""
    return title.startswith('Growing')


def check_page(target: str, titles: Sequence[str]) -> str:
    """Return a page as it stands, whose every table is about to be written anew.

    Args:
        target: The page's file; it need not be there.
        titles: Those of the comparisons.

    Raises:
        UserError: If it has tables that these comparisons lack: they would be lost.
    """
    if not Path(target).exists():
        return ''
    earlier = Path(target).read_text(encoding='utf-8')
    lines = earlier.partition(BY_HAND)[0].splitlines()
    there = [line[len('## ') :] for line in lines if line.startswith('## ')]
    given = {GROWTH if is_growth(title) else title for title in titles}
    lost = [title for title in there if title not in given]
    if lost:
        raise UserError(
            f'--page {target}: its tables would be lost that are not measured now '
            f'({"; ".join(lost)}). Name another file; --read A.json B.json puts several '
            'measurements together'
        )
    return earlier


def page(results: dict[str, Any], earlier: str = '') -> str:
    """Write the results as a page of the documentation.

    Args:
        results: Of :func:`collect` or :func:`read`.
        earlier: The page as it was; what stands behind its :data:`BY_HAND` stays.
    """
    where = results['machine']
    versions = ', '.join(f'{k} {v}' for k, v in where['versions'].items())
    on_gpu = any(run.get('device') == 'cuda' for run in results['runs'])
    device = f'{where["gpu"]}, TF32 in convolutions' if on_gpu else 'on the CPU'
    parts = [
        '# Speed',
        'Written by `make bench`, in half an hour; every figure below is measured, none is '
        'copied.\nA quick look at one picture: `python tools/analysis_tools/benchmark.py`; '
        '`--help` has more.',
        f'{where["date"]}; {where["processor"]}, '
        f'{where["threads"]} thread{"s" * (where["threads"] != 1)}, {device}, '
        f'float32; {where["system"]}; {versions}.',
        f'{_HOW}\n{_HOW_ON_GPU}' if on_gpu else _HOW,
    ]
    sizes = [run for run in results['runs'] if is_growth(run['title'])]
    for run in results['runs']:
        if run in sizes:
            continue
        name, form = run['reference']
        parts += [f'## {run["title"]}', f'Compared with {name}, {form}.', table(run)]
    if sizes:
        parts += [f'## {GROWTH}', growth(sizes)]
    by_hand = earlier.partition(BY_HAND)[2].strip()
    return '\n\n'.join([*parts, BY_HAND, by_hand]).strip() + '\n'


_HOW = """\
All networks of a table are in memory at once and take turns, each turn in another order.
A turn is one call that is not timed, then calls for 0.05 s, at least one, of which the mean
counts; times are medians of the turns, "times as fast" is the median of the ratios turn by turn,
and the middle half is what lies between the quartiles. Where two networks differ by less than a
tenth, the medians of times and of ratios may name different ones as the faster: take them as
equal. Memory is what PyTorch's tensors take at the worst moment of a call, weights of
inference not counted. The forms:

- *eager*: the network as it is built, on a contiguous picture;
- *channels-last*: network and picture with `.to(memory_format=torch.channels_last)`;
- *deployed*: batch norms folded, in channels-last: ours with `switch_to_deploy()`,
  others convolution by convolution;
- *compiled*: the deployed network with `torch.compile` and the compiler's `freezing`; in
  training the network in channels-last with `torch.compile`;
- *onnxruntime*, *openvino*: exported by tracing, ours from its deployed form, the others
  as they are (these runtimes fold batch norms themselves)."""

_HOW_ON_GPU = """\
- *amp*: channels-last with `torch.autocast` in float16, in training with a loss scaler;
- *cuda-graph*: the deployed network, recorded once and launched as a whole;
  *cuda-graph-amp*: the same under `torch.autocast`.

Each call ends when the GPU has done its work."""
