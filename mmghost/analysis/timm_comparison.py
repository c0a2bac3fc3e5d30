"""GhostNetV2 of this project beside timm's as mmpretrain wraps it, from what is installed.

Nothing here is remembered: both networks are built, run, loaded and misused, and what
happens is told. mmpretrain and timm are imported when a comparison is made.
"""

import importlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from mmengine.model import convert_sync_batchnorm
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..models import GhostNetV2
from .complexity import complexity

TIMM_NAME = 'ghostnetv2_100'
VERSIONS = ('torch', 'timm', 'mmpretrain', 'mmengine', 'mmcv')
# Both compute in double precision; what is left of rounding is far below this.
SAME = 1e-9
BEGIN = '<!-- begin: made by tools/analysis_tools/compare_timm.py -->'
END = '<!-- end: made by tools/analysis_tools/compare_timm.py -->'


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        name: What the tables call it.
        build: Builds the backbone that a detector gets, for strides 4 to 32; takes the
            backbone's own arguments.
        build_pretrained: Builds what mmpretrain trains as a classifier's backbone.
    """

    name: str
    build: Callable[..., nn.Module]
    build_pretrained: Callable[[], nn.Module]


class Row(NamedTuple):
    """One line of a table: a question, and both answers."""

    question: str
    ours: str
    theirs: str


class Table(NamedTuple):
    """A heading, what to know before reading, and the lines."""

    title: str
    text: str
    rows: list[Row]


class Tap(NamedTuple):
    """One of the maps that a backbone returns.

    Attributes:
        stride: Pixels of the picture to one position of the map.
        channels: Channels of the map.
        module: Name of the module whose output it is.
        bottlenecks: How many bottlenecks the map has gone through.
        parameters: How many parameters it depends on.
    """

    stride: int
    channels: int
    module: str
    bottlenecks: int
    parameters: int


def ours() -> Side:
    """Return this project's side."""
    return Side(
        'mmghost', GhostNetV2, lambda: GhostNetV2(out_indices=tuple(range(1, 6)))
    )


def theirs() -> Side:
    """Return timm's network in mmpretrain's wrapper.

    Raises:
        ImportError: If mmpretrain or timm is not installed.
    """
    from mmpretrain.models.backbones import TIMMBackbone

    def build(**arguments: Any) -> nn.Module:
        features = dict(model_name=TIMM_NAME, features_only=True)
        return TIMMBackbone(**{**features, 'out_indices': (1, 2, 3, 4), **arguments})

    return Side('TIMMBackbone', build, lambda: TIMMBackbone(model_name=TIMM_NAME))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the toolboxes log, warn of and print out of the answer."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def picture(*sides: int, channels: int = 3) -> Tensor:
    """Return two random pictures in double precision, (2, channels, H, W)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, *sides, generator=generator, dtype=torch.float64)


def trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network weights and statistics as if it had been trained.

    In a fresh one variances are 1 and biases 0, which hides most errors.

    Args:
        model: The network; its parameters become double precision.
        seed: Of the random numbers.

    Returns:
        The same network, in evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64)

    model.double().train()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 200
            parameter.copy_(noise(parameter) * (2 / fan_in) ** 0.5)
        for norm in norms:
            norm.weight.copy_(1 + 0.3 * noise(norm.weight))
            norm.bias.copy_(0.3 * noise(norm.bias))
            norm.momentum = 1.0
        model(picture(96, 96))  # statistics that fit the weights
        for norm in norms:
            norm.momentum = 0.1
    model.eval()
    return model


def taps(model: nn.Module, side: int = 64) -> list[Tap]:
    """Find out where the maps of a backbone come from.

    Args:
        model: The backbone, in evaluation mode.
        side: Side of the picture in px.

    Returns:
        One for each map.
    """
    made: dict[int, str] = {}
    kept = []  # a freed tensor's id could be given away again

    def remember(name: str) -> Callable:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                kept.append(output)
                known = made.get(id(output))
                if known is None or len(name) < len(known):
                    made[id(output)] = name

        return hook

    handles = [
        module.register_forward_hook(remember(name.removeprefix('timm_model.')))
        for name, module in model.named_modules()
        if name
    ]
    parameters = dict(model.named_parameters())
    dtype = next(iter(parameters.values())).dtype
    maps = model(picture(side, side).to(dtype))
    for handle in handles:
        handle.remove()
    bottlenecks = [n for n, m in model.named_modules() if hasattr(m, 'ghost1')]
    found = []
    for one in maps:
        gradients = torch.autograd.grad(
            one.sum(), list(parameters.values()), retain_graph=True, allow_unused=True
        )
        used = [n for n, g in zip(parameters, gradients) if g is not None]
        found.append(
            Tap(
                side // one.shape[-1],
                one.shape[1],
                made[id(one)],
                sum(any(n.startswith(f'{b}.') for n in used) for b in bottlenecks),
                sum(parameters[n].numel() for n in used),
            )
        )
    return found


def loaded(model: nn.Module, load: Callable[[], Any]) -> int:
    """Count the tensors of a model that change when weights are loaded.

    Args:
        model: Its tensors differ from those to be loaded.
        load: Loads them; what it raises goes through.
    """
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load()
    after = model.state_dict()
    return sum(not torch.equal(before[name], after[name]) for name in before)


def difference(maps: Any, wanted: Any) -> float:
    """Return the largest difference of two tuples of maps, relative to their largest."""
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(maps, wanted))


def change(model: nn.Module, convert: Callable[[nn.Module], nn.Module]) -> float:
    """Tell by how much a conversion changes the outputs of a network.

    Args:
        model: The network, in evaluation mode; it is used up.
        convert: Changes it, and returns it.

    Returns:
        The largest difference, relative to the largest value.
    """
    x = picture(97, 65)
    with torch.no_grad():
        wanted = model(x)
        model = convert(model)
        model.eval()
        return difference(model(x), wanted)


def attempt(
    side: Side,
    arguments: dict[str, Any],
    shape: tuple[int, int] = (64, 64),
    maps: int = 4,
) -> str:
    """Build a backbone with arguments, show it a picture, and tell what happened.

    Args:
        side: Whose.
        arguments: What it is built with.
        shape: Height and width of the picture in px.
        maps: How many maps are asked for.

    Returns:
        ``yes``, ``refused`` and why, or what else it did after it had been built.
    """
    try:
        model = side.build(**arguments)
    except Exception as error:
        return f'refused: {_first_line(error)}'
    model.eval()
    model.double()
    try:
        with torch.no_grad():
            found = model(picture(*shape, channels=arguments.get('in_channels', 3)))
    except Exception as error:
        return f'built, then fails: {_first_line(error)}'
    if len(found) == maps > 0:
        return 'yes'
    return f'built, returns {len(found)} maps' if found else 'built, returns nothing'


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ['']
    text = lines[0] if len(lines[0]) <= 120 else f'{lines[0][:117]}...'
    return f'{type(error).__name__}: {text}'.replace('|', '\\|')


class Attempt(NamedTuple):
    """What one may want of a backbone, and how each side is asked for it.

    Attributes:
        question: In words.
        ours: Arguments of GhostNetV2.
        theirs: Arguments of TIMMBackbone, beside those that name the network.
        shape: Height and width of the pictures in px.
        maps: How many maps are asked for.
    """

    question: str
    ours: dict[str, Any]
    theirs: dict[str, Any]
    shape: tuple[int, int] = (64, 64)
    maps: int = 4


def _alike(question: str, maps: int = 4, **arguments: Any) -> Attempt:
    """Ask both sides in the same words."""
    return Attempt(question, arguments, arguments, maps=maps)


# fmt: off
ATTEMPTS = (
    _alike('one map: `out_indices=4`', 1, out_indices=4),
    _alike('the last two: `out_indices=(-2, -1)`', 2, out_indices=(-2, -1)),
    _alike('none: `out_indices=()`', 0, out_indices=()),
    _alike('one that there is not: `out_indices=(9,)`', 1, out_indices=(9,)),
    _alike('a slip of the pen: `out_index=(1,)`', 1, out_index=(1,)),
    Attempt('width 1.3', dict(widen_factor=1.3), dict(model_name='ghostnetv2_130')),
    Attempt('any other width, such as 0.75', dict(widen_factor=0.75), dict(width=0.75)),
    Attempt('GhostNetV1', dict(dfc=None), dict(model_name='ghostnet_100')),
    _alike('another network, such as `efficientnet_b0`', model_name='efficientnet_b0'),
    _alike('grey pictures', in_channels=1),
    Attempt('pictures of 32x32 px', {}, {}, (32, 32)),
    Attempt('pictures of 16x16 px', {}, {}, (16, 16)),
    _alike('output stride 16, for DeepLab', output_stride=16),
    _alike('frozen stages', frozen_stages=1),
    _alike('`norm_eval=True`', norm_eval=True),
    Attempt('GroupNorm', dict(norm_cfg=dict(type='GN', num_groups=1)), dict(norm_layer='GN')),
    Attempt('another activation', dict(act_cfg=dict(type='SiLU')), dict(act_layer='silu')),
    _alike('stochastic depth', drop_path_rate=0.1),
    _alike('less memory for more computing: `with_cp=True`', with_cp=True),
    _alike("the paper's ablations, such as DFC with kernel 7", dfc=dict(kernel_size=7)),
)
# fmt: on


def compare() -> list[Table]:
    """Compare this project's GhostNetV2 1.0 with timm's in mmpretrain's wrapper.

    Returns:
        The tables, in the order to be read.

    Raises:
        ImportError: If mmpretrain or timm is not installed.
    """
    with quiet():
        sides = (ours(), theirs())
        return [
            _tap_table(*sides),
            _weight_table(*sides),
            _conversion_table(*sides),
            _attempt_table(*sides),
        ]


def _tap_table(ours: Side, theirs: Side) -> Table:
    columns, costs = [], []
    for side in (ours, theirs):
        model = side.build()
        model.eval()
        columns.append(taps(model))
        costs.append(complexity(model))
    rows = [
        Row(f'map of stride {a.stride}', _tap_words(a), _tap_words(b))
        for a, b in zip(*columns)
    ]
    rows.append(Row('parameters', *(f'{cost.params:,}' for cost in costs)))
    rows.append(Row('MACs at 224 px', *(f'{cost.macs:,}' for cost in costs)))
    return Table(
        'Maps',
        'What a neck gets from each: channels, the module whose output it is, and how '
        'many of the 16 bottlenecks stand before it.',
        rows,
    )


def _tap_words(tap: Tap) -> str:
    return f'{tap.channels} channels, `{tap.module}`, {tap.bottlenecks} bottlenecks'


def _weight_table(ours: Side, theirs: Side) -> Table:
    import timm

    with tempfile.TemporaryDirectory() as folder:
        release = Path(folder) / 'release.pth'
        network = trained(timm.create_model(TIMM_NAME), seed=7).float()
        torch.save(_marked(network.state_dict()), release)
        answers = [[_load(side, release)] for side in (ours, theirs)]
        # timm's own loader, which fetches the file, is given it instead.
        overlay = dict(pretrained_cfg_overlay=dict(file=str(release)))
        fresh = theirs.build()
        total = len(fresh.state_dict())
        got = loaded(
            fresh,
            lambda: fresh.load_state_dict(
                theirs.build(pretrained=True, **overlay).state_dict()
            ),
        )
        by_timm = Row(
            'the same by `pretrained=True`', 'no such argument', f'{got} of {total}'
        )
        for side, found in zip((ours, theirs), answers):
            for build in (side.build_pretrained, side.build):
                path = Path(folder) / 'epoch_12.pth'
                state = _marked(trained(build(), seed=7).float().state_dict())
                state = {f'backbone.{name}': value for name, value in state.items()}
                torch.save(dict(meta={}, state_dict=state), path)
                found.append(_load(side, path, prefix='backbone.'))
    questions = (
        "the authors' file, which is also timm's, by `init_cfg`",
        "mmpretrain's checkpoint of a classifier with this backbone",
        "mmdet's or mmseg's checkpoint with this backbone",
    )
    rows = [Row(question, *found) for question, found in zip(questions, zip(*answers))]
    return Table(
        'Weights',
        'How many tensors of the backbone are loaded. The files are written on the '
        'spot, with random numbers.',
        [rows[0], by_timm, *rows[1:]],
    )


def _marked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Change the counters, too, which are the same in every fresh network."""
    return {
        name: value + 7 if name.endswith('num_batches_tracked') else value
        for name, value in state.items()
    }


def _load(side: Side, path: Path, **keys: Any) -> str:
    init_cfg = dict(type='Pretrained', checkpoint=str(path), **keys)
    model = side.build(init_cfg=init_cfg)
    total = len(model.state_dict())
    try:
        count = loaded(model, model.init_weights)
    except Exception as error:
        return f'refused: {_first_line(error)}'
    goes_on = '' if count == total else '; a warning, and the training goes on'
    return f'{count} of {total}{goes_on}'


def _conversion_table(ours: Side, theirs: Side) -> Table:
    from mmcv.cnn.utils import fuse_conv_bn

    conversions = {
        "mmcv's `fuse_conv_bn`": fuse_conv_bn,
        "SyncBN, by mmengine's `sync_bn='torch'`": lambda model: convert_sync_batchnorm(
            model, 'torch'
        ),
    }
    rows = []
    for name, convert in conversions.items():
        for what, kind in (
            ('the four maps', 'build'),
            ('all of the trunk, as for a classifier', 'build_pretrained'),
        ):
            errors = [
                change(trained(getattr(side, kind)()), convert)
                for side in (ours, theirs)
            ]
            rows.append(Row(f'{name}: {what}', *map(_error_words, errors)))
    return Table(
        'Conversions',
        'By how much the outputs change, relative to their largest, in double '
        'precision, for weights as of a trained network. They should not. '
        '[The contract](contract.md) compares the returned maps alone.',
        rows,
    )


def _error_words(error: float) -> str:
    # In tens of per cent: how much a fault changes depends on the numbers drawn.
    return 'the same' if error < SAME else f'differ by some {round(error, 1):.0%}'


def _attempt_table(ours: Side, theirs: Side) -> Table:
    import timm

    rows = [
        Row(
            one.question,
            attempt(ours, one.ours, one.shape, one.maps),
            attempt(theirs, one.theirs, one.shape, one.maps),
        )
        for one in ATTEMPTS
    ]
    return Table(
        'What each takes and refuses',
        f'Built with the arguments, then shown two pictures. `timm.list_models()` names '
        f'{len(timm.list_models()):,} networks; the wrapper takes most of them. Any '
        'error counts as *refused* here; [the contract](contract.md) asks for one that '
        'names the argument, which an IndexError does not.',
        rows,
    )


def versions() -> str:
    """Name what was compared: ``torch 2.14.1, timm 1.0.31, ...``."""
    found = []
    for name in VERSIONS:
        found.append(f'{name} {importlib.import_module(name).__version__}')
    return ', '.join(found)


def render(tables: list[Table]) -> str:
    """Write the tables in Markdown, which also reads well in a terminal."""
    lines = [
        "`mmghost`: `GhostNetV2()`. `TIMMBackbone`: `dict(type='mmpretrain.TIMMBackbone', "
        f"model_name='{TIMM_NAME}', features_only=True, out_indices=(1, 2, 3, 4))`.",
    ]
    for table in tables:
        lines += ['', f'### {table.title}', '', table.text, '']
        lines += ['| | mmghost | TIMMBackbone |', '|---|---|---|']
        lines += [f'| {" | ".join(row)} |' for row in table.rows]
    return '\n'.join(lines) + '\n'


def with_tables(page: str, text: str) -> str:
    """Put rendered tables into a page, between the marks that are there for them.

    Args:
        page: The page's text.
        text: From :func:`render`.

    Raises:
        ValueError: If the page has no marks.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f'the page needs the lines {BEGIN!r} and {END!r}, once each')
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return f'{head}{BEGIN}\n\n{text}\n{END}{tail}'
