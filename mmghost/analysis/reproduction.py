"""The ledger: every row of the papers' tables and of the model zoo, from one data file.

``reproduction.json`` beside this module holds the rows: config, published figures with
their sources, the cost that was counted, and what this project measured. The page
docs/reproduction.md is made from it and from nothing else; MIM's metafiles take their
figures from it (see ``metafiles.py``). Costs and measured figures are
written into the file by functions of this module, not by hand.
"""

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import UserError, near
from ..models import GhostNetClassifier
from .complexity import Complexity, complexity
from .config_costs import config_cost
from .curves import MAIN_METRICS, read_curves

DATA = Path(__file__).with_name('reproduction.json')
# What must be as in a row's config before a training counts as a measurement of it.
DECISIVE = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'custom_hooks',  # the averaging of weights, a switch of pipelines
    'load_from',
    'val_dataloader.dataset',
    'val_evaluator',
)
# Of a loader, what carries pictures and does not choose them; a door may fill it in.
CARRYING = ('collate_fn', 'num_workers', 'persistent_workers', 'pin_memory')
_MEGA = 1e6


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        table: Key of its table.
        name: Its name, unique within the table.
        config: Config below configs/, or None for somebody else's network.
        options: What to override in the config, by dotted keys.
        published: Figures and the keys of their sources, in pairs.
        published_macs: Multiply-accumulates in millions and the key of their source.
        network: Counted cost of the ImageNet network at the table's size.
        model: Counted cost of the config's whole model.
        shape: Height and width that ``model`` was counted at.
        measured: What this project measured: value, date, log, sha256.
        note: What else to know.
        gpus: How many GPUs the config is for; 0 where there is nothing to train.
        seed: Seed that the figure was measured with, where the config leaves it open.
    """

    table: str
    name: str
    config: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    published: tuple[tuple[float, str], ...] = ()
    published_macs: tuple[float, str] | None = None
    network: Complexity | None = None
    model: Complexity | None = None
    shape: tuple[int, int] | None = None
    measured: dict[str, Any] | None = None
    note: str = ''
    gpus: int = 8
    seed: int | None = None

    @property
    def id(self) -> str:
        """Table and name."""
        return f'{self.table}/{self.name}'

    @property
    def command(self) -> str | None:
        """The command that trains the row, or None."""
        if self.config is None or not self.gpus:
            return None
        command = f'bash tools/dist_train.sh configs/{self.config} {self.gpus}'
        if self.gpus == 1:
            command = f'python tools/train.py configs/{self.config}'
        options = dict(self.options)
        if self.seed is not None:
            options['randomness.seed'] = self.seed
        if options:
            command += ' --cfg-options ' + ' '.join(option_words(options))
        return command


@dataclass(frozen=True)
class Table:
    """A table: its rows share metric and picture size.

    Args:
        key: Short name, for the command line.
        title: What it is about.
        metric: What its figures are.
        px: Side of the picture at which the papers count its networks.
        text: What to know before reading it.
        rows: The rows.
        small: Whether it is of data that two CPU cores can train on, in no paper.
    """

    key: str
    title: str
    metric: str
    px: int
    text: str
    rows: tuple[Row, ...]
    small: bool = False


def option_words(options: dict[str, Any]) -> list[str]:
    """Write overrides as the words behind ``--cfg-options``."""
    return [
        shlex.quote(f'{key}={json.dumps(value)}')
        if isinstance(value, list)
        else f'{key}={value}'
        for key, value in options.items()
    ]


def sources() -> dict[str, str]:
    """Read whose figures there are, by the words that stand for them."""
    return json.loads(DATA.read_text(encoding='utf-8'))['sources']


def tables() -> dict[str, Table]:
    """Read the tables, by key."""
    return _tables(DATA.read_text(encoding='utf-8'))


@lru_cache(maxsize=4)
def _tables(text: str) -> dict[str, Table]:
    found = {}
    for entry in json.loads(text)['tables']:
        rows = [_row(entry, row) for row in entry['rows']]
        found[entry['key']] = Table(
            **{k: entry[k] for k in ('key', 'title', 'metric', 'px', 'text')},
            rows=tuple(rows),
            small=entry.get('small', False),
        )
    return found


def _row(table: dict[str, Any], row: dict[str, Any]) -> Row:
    cost = row.get('cost', {})
    return Row(
        table=table['key'],
        name=row['name'],
        config=row.get('config'),
        options=row.get('options', {}),
        published=tuple((value, source) for value, source in row.get('published', [])),
        published_macs=tuple(row['published_macs'])
        if 'published_macs' in row
        else None,
        network=Complexity(*cost['network']) if 'network' in cost else None,
        model=Complexity(*cost['model']) if 'model' in cost else None,
        shape=tuple(cost['shape']) if 'shape' in cost else None,
        measured=row.get('measured'),
        note=row.get('note', ''),
        gpus=row.get('gpus', table['gpus']),
        seed=row.get('seed'),
    )


def table(key: str) -> Table:
    """Look a table up.

    Raises:
        UserError: If there is none of this key.
    """
    found = tables()
    if key not in found:
        raise UserError(
            f'there is no table {key!r}; there are {", ".join(found)}{near(key, found)}'
        )
    return found[key]


def row_config(row: Row, configs: Path) -> Config:
    """Load the config of a row with its overrides.

    Args:
        row: A row that has a config.
        configs: The folder configs/.

    Returns:
        The config.
    """
    cfg = Config.fromfile(str(configs / row.config))
    cfg.merge_from_dict(row.options)
    return cfg


def network_cost(cfg: Config, px: int) -> Complexity | None:
    """Count the ImageNet network of a config's backbone, as the papers count.

    Args:
        cfg: The config.
        px: Side of the picture.

    Returns:
        The cost with the classifier of 1000 classes; None for another backbone.
    """
    backbone = cfg.model.backbone
    if backbone.type not in ('GhostNetV1', 'GhostNetV2'):
        return None
    kwargs = {'dfc': None} if backbone.type == 'GhostNetV1' else {}
    if 'dfc' in backbone:
        kwargs['dfc'] = backbone.dfc and dict(backbone.dfc)
    network = GhostNetClassifier(backbone.widen_factor, **kwargs)
    # Counting needs sizes only: on the meta device nothing is computed.
    return complexity(network.to('meta'), (px, px))


def count(row: Row, px: int, configs: Path) -> dict[str, Any]:
    """Count what a row costs, as its ``cost`` in the data file."""
    cfg = row_config(row, configs)
    found = config_cost(cfg)
    cost: dict[str, Any] = {}
    network = network_cost(cfg, px)
    if network is not None:
        cost['network'] = list(network)
    return {**cost, 'model': list(found.whole), 'shape': list(found.shape)}


def write_costs(configs: Path, again: bool = False) -> Iterator[tuple[str, bool]]:
    """Count every row's cost into the data file.

    Args:
        configs: The folder configs/.
        again: Also those that are there already.

    Yields:
        The id of each row and whether its cost has changed.
    """
    data = json.loads(DATA.read_text(encoding='utf-8'))
    known: dict[str, dict[str, Any]] = {}
    try:
        for entry in data['tables']:
            for raw in entry['rows']:
                row = _row(entry, raw)
                if row.config is None or ('cost' in raw and not again):
                    continue
                # The same network stands in several tables.
                same = f'{row.config} {row.options} {entry["px"]}'
                if same not in known:
                    known[same] = count(row, entry['px'], configs)
                changed = raw.get('cost') != known[same]
                raw['cost'] = known[same]
                yield row.id, changed
    finally:  # a fault in one row must not cost the others
        _write(data)


def _write(data: dict[str, Any]) -> None:
    """Write the data file, a row a line."""
    lines = ['{', f' "sources": {_indented(data["sources"])},', ' "tables": [']
    for i, entry in enumerate(data['tables']):
        head = {key: value for key, value in entry.items() if key != 'rows'}
        lines.append(f'  {json.dumps(head)[:-1]},')
        lines.append('   "rows": [')
        rows = [f'    {json.dumps(row)}' for row in entry['rows']]
        lines.append(',\n'.join(rows))
        lines.append('   ]}' + (',' if i + 1 < len(data['tables']) else ''))
    DATA.write_text('\n'.join([*lines, ' ]', '}']) + '\n', encoding='utf-8')


def _indented(value: dict[str, str]) -> str:
    return json.dumps(value, indent=2).replace('\n}', '\n }')


def record(row_id: str, work_dir: Path, configs: Path, logs: Path) -> float:
    """Enter what a training measured into the data file, and keep its log.

    Args:
        row_id: Id of the row, ``TABLE/NAME``.
        work_dir: Where ``tools/train.py`` wrote to.
        configs: The folder configs/.
        logs: The folder that logs are kept in.

    Returns:
        The figure: the main metric of the last evaluation, in %.

    Raises:
        UserError: If there is no such row, or the training was not of its config, or is
            not finished.
    """
    data = json.loads(DATA.read_text(encoding='utf-8'))
    found = {
        f'{entry["key"]}/{raw["name"]}': (entry, raw)
        for entry in data['tables']
        for raw in entry['rows']
    }
    if row_id not in found:
        raise _no_row(row_id, found)
    entry, raw = found[row_id]
    row = _row(entry, raw)
    if row.config is None:
        raise UserError(f"{row_id} has no config: it is somebody else's network")
    dumped = sorted(work_dir.glob('*.py'))
    if len(dumped) != 1:
        raise UserError(f'{work_dir} must hold the config of one training')
    wanted, ran = row_config(row, configs), Config.fromfile(str(dumped[0]))
    for key in DECISIVE:
        if _deciding(wanted, key) != _deciding(ran, key):
            raise UserError(
                f'{work_dir} is no training of {row_id}: its {key} is not that of '
                f'configs/{row.config} with the overrides of the row'
            )
    try:
        curves = read_curves(work_dir)
    except FileNotFoundError as error:
        raise UserError(str(error)) from None
    names = [name for name in reversed(MAIN_METRICS) if name in curves.metrics]
    source = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    if not names or not _has_ended(ran, work_dir, source, names[0]):
        raise UserError(
            f'{work_dir}: the training has not come to its end: there must be its last '
            'checkpoint, and an evaluation of it in the log'
        )
    value = curves.metrics[names[0]][-1][1]
    value = value * 100 if 'mAP' in names[0] else value
    kept = logs / f'{row_id.replace("/", "_")}.json'
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, kept)
    raw['measured'] = {
        'value': round(value, 3),
        'metric': names[0],
        'date': date.fromtimestamp(source.stat().st_mtime).isoformat(),
        'log': kept.name,
        'sha256': hashlib.sha256(kept.read_bytes()).hexdigest(),
    }
    _write(data)
    return value


def _no_row(row_id: str, ids: Iterable[str]) -> UserError:
    """Say which rows there are: those of the table that was named, or the tables."""
    key = row_id.partition('/')[0]
    rows = [one for one in ids if one.startswith(f'{key}/')]
    there = ', '.join(rows or tables())
    return UserError(
        f'there is no row {row_id!r}{near(row_id, rows or ids)}; there are the '
        f'{"rows" if rows else "tables"} {there}'
    )


def _deciding(cfg: Config, key: str) -> Any:
    """What of a config's part decides the outcome of a training."""
    value: Any = cfg
    for name in key.split('.'):
        value = value and value.get(name)
    if key == 'train_dataloader' and value is not None:
        return {name: item for name, item in value.items() if name not in CARRYING}
    if key == 'load_from' and value and cfg.get('resume'):
        # A training that was resumed names its own checkpoint there.
        own = Path(value).resolve().parent == Path(cfg.work_dir).resolve()
        return None if own else value
    return value or None


def _has_ended(cfg: Config, work_dir: Path, log: Path, metric: str) -> bool:
    """Whether the last checkpoint is there, and the log's last evaluation is of it."""
    by_epoch = 'max_epochs' in cfg.train_cfg
    length = cfg.train_cfg['max_epochs' if by_epoch else 'max_iters']
    entries = map(json.loads, log.read_text(encoding='utf-8').splitlines())
    # An evaluation's `step` is counted in what the training's length is counted in.
    evaluated = [entry['step'] for entry in entries if metric in entry]
    checkpoint = work_dir / f'{"epoch" if by_epoch else "iter"}_{length}.pth'
    return checkpoint.exists() and evaluated[-1:] == [length]


def render() -> str:
    """Make the page docs/reproduction.md."""
    all_tables = tables()
    rows = [row for one in all_tables.values() if not one.small for row in one.rows]
    small = [row for one in all_tables.values() if one.small for row in one.rows]
    measured = sum(row.measured is not None for row in rows) or 'none'
    ours = sum(row.config is not None for row in rows)
    lines = [
        '<!-- Made by tools/analysis_tools/reproduction.py; edit',
        'mmghost/analysis/reproduction.json and run it again. -->',
        '',
        '# What is reproduced, and what is not',
        '',
        f"{len(rows)} rows of the GhostNet papers' tables and of this project's model "
        f'zoo; {ours} have a config here, and **{measured} of them have been trained in '
        f'full by this project**. Of the {len(small)} rows of small sets in the last '
        f'tables {sum(row.measured is not None for row in small)} have been: '
        '[results.md](results.md) tells how. A figure in the column *published* is '
        "somebody else's, and the word behind it says whose; the column *measured* holds "
        'what a log in this repository shows, and is empty until there is one.',
        '',
        'Costs are counted by `tools/analysis_tools/get_flops.py`: multiply-accumulates '
        'of convolutions and linear layers, which is what the papers call FLOPs. '
        '*Network* is the ImageNet network at the size above the table, as the papers '
        'count it; *model* is the whole model of the config, at the size that it is '
        'tested on.',
        '',
        'Sources: '
        + '; '.join(f'*{key}*: {text}' for key, text in sources().items())
        + '.',
        '',
        'The accuracies of tables 5 to 10 were not found in a source that could be '
        'checked; their rows are the choices that the paper is known to compare.',
    ]
    for one in all_tables.values():
        lines += [
            '',
            f'## {one.title}',
            '',
            f'Table `{one.key}`. {one.text}'.strip(),
            '',
        ]
        lines += _rendered(one)
    lines += [
        '',
        '## To fill a row',
        '',
        '```bash',
        'bash tools/dist_train.sh CONFIG GPUS --work-dir work_dirs/row   # see the row',
        'python tools/analysis_tools/reproduction.py --record TABLE/ROW work_dirs/row',
        '```',
        '',
        'TABLE stands below the heading of the table, ROW in its first column: '
        '`9/clip-before`. The second command refuses a training whose model, data, schedule or optimizer '
        'is not that of the row, or that has not come to its end. It copies the log to '
        'docs/logs/, enters the figure and its date, and makes this page again.',
    ]
    return '\n'.join(lines) + '\n'


def _rendered(one: Table) -> list[str]:
    """Render a table and the commands of its rows."""
    lines = [
        f'| row | config | network at {one.px} px: parameters, MACs | MACs published '
        f'| model: parameters, MACs | {one.metric}: published | measured |',
        '|---|---|---|---|---|---|---|',
    ]
    for row in one.rows:
        config = '' if row.config is None else f'[config](../configs/{row.config})'
        if row.options:
            config += ' + ' + ', '.join(
                f'`{word}`' for word in option_words(row.options)
            ).replace('model.backbone.', '')
        if row.note:
            config += ('; ' if config else '') + row.note
        macs = row.published_macs
        published = ', '.join(f'{value} ({source})' for value, source in row.published)
        cells = [
            row.name,
            config,
            _cost(row.network),
            f'{macs[0]:g} M ({macs[1]})' if macs else '',
            _cost(row.model, row.shape),
            published,
            _measured(row),
        ]
        lines.append('| ' + ' | '.join(cells) + ' |')
    commands = [row.command for row in one.rows if row.command]
    if commands:
        lines += ['', '<details><summary>commands</summary>', '', '```bash']
        lines += [*dict.fromkeys(commands), '```', '', '</details>']
    return lines


def _cost(cost: Complexity | None, shape: tuple[int, int] | None = None) -> str:
    if cost is None:
        return ''
    where = f' ({shape[0]}x{shape[1]})' if shape else ''
    if cost.macs >= 1e4 * _MEGA:
        return f'{cost.params / _MEGA:.2f} M, {cost.macs / _MEGA / 1e3:.1f} G{where}'
    return f'{cost.params / _MEGA:.2f} M, {cost.macs / _MEGA:.1f} M{where}'


def _measured(row: Row) -> str:
    if row.measured is None:
        return ''
    one = row.measured
    return f'{one["value"]} ([log](logs/{one["log"]}), {one["date"]})'
