"""The pages for users, taken apart: code blocks, links, anchors, tables.

A comment right before a code block says how ``make test-docs`` treats it:

    <!-- not run: COCO, hours -->     checked but not run, for the reasons named
    <!-- saved as: configs/mine.py -->    written to that file; a config is built
    <!-- config on: mmdet::retinanet/... -->    put on top of that config, which is built

Without one, a block of ``bash`` or ``python`` is run as it stands, with the names of the
page's earlier blocks.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
# Only commands that train the rows of the papers' tables in full.
LEDGER = 'docs/reproduction.md'
MARK = re.compile(r'<!--\s*(not run|saved as|config on):\s*(.+?)\s*-->')


@dataclass(frozen=True)
class Block:
    """A fenced code block and the marks before it."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'

    @property
    def reason(self) -> str:
        """Why it is not run; empty if it is."""
        return self.marks.get('not run', '')


def pages() -> list[str]:
    """List the Markdown pages, relative to the repository."""
    found = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('projects/*/*.md')]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


@cache
def read(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text(encoding='utf-8')


@cache
def _tokens(page: str) -> list:
    return MarkdownIt('commonmark').enable('table').parse(read(page))


@cache
def blocks(page: str) -> list[Block]:
    """List the code blocks of a page."""
    found: list[Block] = []
    every = {'not run': 'hours'} if page == LEDGER else {}
    marks = dict(every)
    for token in _tokens(page):
        if token.type == 'html_block':
            marks.update(MARK.findall(token.content))
        elif token.type in ('fence', 'code_block'):
            language = token.info.strip()
            found.append(Block(page, token.map[0] + 1, language, token.content, marks))
            marks = dict(every)
        elif token.type in ('paragraph_open', 'heading_open', 'table_open'):
            marks = dict(every)
    return found


def runnable(page: str) -> list[Block]:
    """List the blocks of a page that are run."""
    languages = ('bash', 'python')
    return [b for b in blocks(page) if b.language in languages and not b.reason]


def _inline(page: str) -> list:
    tokens = (token for token in _tokens(page) if token.type == 'inline')
    return [child for token in tokens for child in token.children]


def inline_code(page: str) -> list[str]:
    """List what is between backticks in the text of a page."""
    return [token.content for token in _inline(page) if token.type == 'code_inline']


def links(page: str) -> list[str]:
    """List the targets of a page's links and images."""
    found = [token.attrGet('href') or token.attrGet('src') for token in _inline(page)]
    return [target for target in found if target]


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub and the site give to the headings of a page."""
    found = set()
    for token, inline in pairwise(_tokens(page)):
        if token.type == 'heading_open':
            text = ''.join(t.content for t in inline.children).lower()
            found.add(re.sub(r'[^\w\- ]', '', text).replace(' ', '-'))
    return found


def cells(page: str) -> list[list[str]]:
    """List the rows of all tables of a page, each a list of its cells' texts."""
    rows: list[list[str]] = []
    for token, inline in pairwise(_tokens(page)):
        if token.type == 'tr_open':
            rows.append([])
        elif token.type in ('td_open', 'th_open'):
            rows[-1].append(inline.content)
    return rows
