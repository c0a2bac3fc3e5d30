"""The ledger: published and measured figures of every config, and docs/reproduction.md.

``reproduction.json`` holds the rows of the papers' tables and of the model zoo: config,
published figures with their sources, counted cost, measured figure with its log. The page
and MIM's metafiles are written from it. Rows and figures are entered by hand, costs by this
command.

Examples:
    python -m dev.ledger             # count the costs of new rows, write page and metafiles
    python -m dev.ledger --recount   # count all of them again
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import jinja2
from mmengine.config import Config

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis import complexity, config_cost
from mmghost.models import GhostNetClassifier

from .metafiles import ROOT, Row, Table, metafiles

DATA = Path(__file__).with_name('reproduction.json')
PAGE = ROOT / 'docs' / 'reproduction.md'


def read() -> dict[str, Any]:
    """Read the ledger: ``sources`` and ``tables``, each with its ``rows``.

    A row has ``name``, and as far as they are known: ``config`` (below configs/),
    ``options`` (overrides by dotted keys), ``published`` (pairs of value and source),
    ``published_macs`` (in millions, and the source), ``cost`` (parameters and MACs of
    ``network``, the ImageNet network at the size of the table, and of ``model``, the model
    of the config at ``shape``), ``measured`` (value, metric, date, log and its sha256),
    ``gpus``, ``seed`` and ``note``.
    """
    return json.loads(DATA.read_text(encoding='utf-8'))


def write(data: dict[str, Any]) -> None:
    """Write the ledger, a row a line."""
    tables = []
    for table in data['tables']:
        head = json.dumps({k: v for k, v in table.items() if k != 'rows'})
        rows = ',\n'.join(f'    {json.dumps(row)}' for row in table['rows'])
        tables.append(f'  {head[:-1]},\n   "rows": [\n{rows}\n   ]}}')
    sources = json.dumps(data['sources'], indent=2).replace('\n}', '\n }')
    text = (
        f'{{\n "sources": {sources},\n "tables": [\n' + ',\n'.join(tables) + '\n ]\n}\n'
    )
    DATA.write_text(text, encoding='utf-8')


def row_config(row: Row) -> Config:
    """Load the config of a row with its overrides."""
    cfg = Config.fromfile(str(ROOT / 'configs' / row['config']))
    cfg.merge_from_dict(row.get('options', {}))
    return cfg


def count(row: Row, px: int) -> dict[str, Any]:
    """Count the ``cost`` of a row; its ImageNet network at ``px`` x ``px``."""
    cfg = row_config(row)
    backbone = cfg.model.backbone
    if backbone.type == 'GhostNetV3':
        backbone.type = 'GhostNetV2'  # what it folds into, and is used as
    found = config_cost(cfg)
    cost: dict[str, Any] = {}
    if backbone.type in ('GhostNetV1', 'GhostNetV2'):
        dfc = dict(dfc=None) if backbone.type == 'GhostNetV1' else {}
        if 'dfc' in backbone:
            dfc = dict(dfc=backbone.dfc and dict(backbone.dfc))
        network = GhostNetClassifier(backbone.widen_factor, **dfc)
        cost['network'] = list(complexity(network.to('meta'), (px, px)))
    return {**cost, 'model': list(found.whole), 'shape': list(found.shape)}


def count_all(data: dict[str, Any], again: bool = False) -> None:
    """Count the costs of new rows, or of all rows, into the ledger."""
    for table in data['tables']:
        for row in table['rows']:
            if 'config' in row and ('cost' not in row or again):
                row['cost'] = count(row, table['px'])
                print(f'{table["key"]}/{row["name"]}: {row["cost"]}', flush=True)


def command(table: Table, row: Row) -> str | None:
    """Return the command that trains a row, or None."""
    gpus = row.get('gpus', table['gpus'])
    if 'config' not in row or not gpus:
        return None
    words = ['python tools/train.py', f'configs/{row["config"]}']
    if gpus > 1:
        words = ['bash tools/dist_train.sh', f'configs/{row["config"]}', str(gpus)]
    options = dict(row.get('options', {}))
    if 'seed' in row:
        options['randomness.seed'] = row['seed']
    if options:
        words += ['--cfg-options', *option_words(options)]
    return ' '.join(words)


def option_words(options: dict[str, Any]) -> list[str]:
    """Return overrides as the words behind ``--cfg-options``."""
    return [
        shlex.quote(f'{key}={json.dumps(value)}')
        if isinstance(value, list)
        else f'{key}={value}'
        for key, value in options.items()
    ]


def cost_words(cost: list[int] | None, shape: list[int] | None = None) -> str:
    """Return parameters and MACs as text."""
    if not cost:
        return ''
    params, macs = (value / 1e6 for value in cost)
    text = f'{params:.2f} M, ' + (
        f'{macs / 1e3:.1f} G' if macs > 1e4 else f'{macs:.1f} M'
    )
    return f'{text} ({shape[0]}x{shape[1]})' if shape else text


def render(data: dict[str, Any]) -> str:
    """Return the page docs/reproduction.md."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, trim_blocks=True, lstrip_blocks=True
    )
    big = [r for t in data['tables'] if not t.get('small') for r in t['rows']]
    small = [r for t in data['tables'] if t.get('small') for r in t['rows']]
    return environment.get_template('reproduction.md.jinja').render(
        **data,
        big=big,
        small=small,
        command=command,
        cost=cost_words,
        option_words=option_words,
    )


def main() -> None:
    """Count and write as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--recount', action='store_true', help='count all costs again')
    args = parser.parse_args()
    data = read()
    count_all(data, args.recount)
    write(data)
    PAGE.write_text(render(data), encoding='utf-8')
    for name, text in metafiles(data).items():
        (ROOT / name).write_text(text, encoding='utf-8')
        print(f'wrote {name}')


if __name__ == '__main__':
    main()
