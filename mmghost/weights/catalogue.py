"""Which weights there are: one data file, ``models.json``, and the table made of it.

Nobody's figure stands there without whose it is. A model's ``weights`` are in the order
in which they are preferred.
"""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import UserError, near

DATA = Path(__file__).with_name('models.json')
_BEGIN = '<!-- begin: made by list_weights.py from models.json -->'
_END = '<!-- end -->'


@dataclass(frozen=True)
class Weights:
    """A weight file somebody else published.

    Args:
        tag: Whose form it has: ``'release'``, ``'timm'`` or ``'mindspore'``.
        url: Where it is.
        top1: ImageNet accuracy in % and who says so, in pairs.
        megabytes: Its size, where known.
        sha256: Its checksum, where known.
        dfc: The ``dfc`` that the backbone needs for it, beside the release's.
        note: What else to know.
    """

    tag: str
    url: str
    top1: tuple[tuple[float, str], ...]
    megabytes: float | None = None
    sha256: str | None = None
    dfc: dict[str, Any] = field(default_factory=dict)
    note: str = ''


@dataclass(frozen=True)
class Entry:
    """A network of the family.

    Args:
        name: Such as ``ghostnetv2-1.0``.
        version: 1 for GhostNet, 2 for GhostNetV2.
        width: ``widen_factor``.
        parameters: Of the classifier with 1000 classes.
        macs: Multiply-accumulates of its convolutions and linear layers at 224 px.
        weights: What is published.
    """

    name: str
    version: int
    width: float
    parameters: int
    macs: int
    weights: tuple[Weights, ...]


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """Read the data file, by name."""
    data = json.loads(DATA.read_text(encoding='utf-8'))
    found = {}
    for name, values in data.items():
        weights = tuple(
            Weights(**{**item, 'top1': tuple(map(tuple, item['top1']))})
            for item in values.pop('weights')
        )
        found[name] = Entry(name=name, weights=weights, **values)
    return found


def entry(name: str) -> Entry:
    """Look a network up.

    Raises:
        UserError: If there is none of that name. It names those that are near.
    """
    found = entries().get(name)
    if found is None:
        raise UserError(
            f'no model {name!r}{near(name, entries())}; mmghost.list_models() has '
            f'{", ".join(entries())}'
        )
    return found


def list_models(pretrained: bool = False) -> list[str]:
    """Name the networks that :func:`mmghost.get_model` builds.

    Args:
        pretrained: Only those that weights are published for.

    Returns:
        The names, in the catalogue's order.

    Example:
        >>> import mmghost
        >>> mmghost.list_models(pretrained=True)
        ['ghostnetv2-1.0', 'ghostnetv2-1.3', 'ghostnetv2-1.6', 'ghostnetv1-1.0']
    """
    return [name for name, e in entries().items() if e.weights or not pretrained]


def sha256_of(url: str) -> str | None:
    """Tell the checksum of a published file, where it is known."""
    for found in entries().values():
        for weights in found.weights:
            if weights.url == url:
                return weights.sha256
    return None


def table() -> str:
    """Make the table of docs/weights.md."""
    lines = [
        '| model | parameters | MACs | file | size | ImageNet top-1, % | |',
        '|---|---|---|---|---|---|---|',
    ]
    for e in entries().values():
        cost = f'{e.parameters / 1e6:.2f} M | {e.macs / 1e6:.1f} M'
        if not e.weights:
            lines.append(f'| `{e.name}` | {cost} | none is published | | | |')
        for i, w in enumerate(e.weights):
            head = f'`{e.name}` | {cost}' if i == 0 else ' | | '
            size = f'{w.megabytes:g} MB' if w.megabytes else ''
            top1 = '; '.join(f'{value:g} ({whose})' for value, whose in w.top1)
            link = f'[{w.tag}]({w.url})'
            lines.append(f'| {head} | {link} | {size} | {top1} | {w.note} |')
    return '\n'.join(lines)


def with_table(text: str) -> str:
    """Put the present table into a page that holds the marks for it.

    Raises:
        UserError: If it does not hold them.
    """
    pattern = re.compile(f'{re.escape(_BEGIN)}.*?{re.escape(_END)}', re.DOTALL)
    if not pattern.search(text):
        raise UserError(f'the page lacks the lines {_BEGIN} and {_END}')
    return pattern.sub(lambda _: f'{_BEGIN}\n\n{table()}\n\n{_END}', text)
