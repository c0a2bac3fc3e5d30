"""The pages that people read, taken apart: code blocks, links, anchors, figures.

A comment right before a code block says how ``make test-docs`` treats it:

    <!-- not run: COCO, hours -->     checked but not run, for the reasons named
    <!-- saved as: configs/mine.py -->    put into that file; a config is built
    <!-- config on: mmdet::retinanet/... -->    put upon that config, which is built

Without one, a block of ``bash`` or ``python`` is run as it stands, and the commands of a
``console`` block must print what stands under them. ``python -m tests.docs.pages`` counts.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
# Why a block is not run. What it needs is not there for everybody who runs the tests.
REASONS = (
    'COCO', 'ADE20K', 'ImageNet', 'GPU', 'Slurm', 'MindSpore', 'MIM', 'network', 'hours',
    'compiler', 'environment', 'own data', 'another machine', 'quotation',
)  # fmt: skip
RUNNABLE = ('bash', 'python', 'console')
# Made of nothing but the commands that train the rows of the papers' tables in full.
LEDGER = 'docs/reproduction.md'
LEDGER_REASONS = 'COCO, ADE20K, ImageNet, GPU, hours'
MARK = re.compile(r'<!--\s*(not run|saved as|config on):\s*(.+?)\s*-->')


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        page: Path of the page, relative to the repository.
        line: Its line there, counted from 1.
        language: What stands behind the fence.
        text: What stands in it.
        marks: The comments before it, by their first words.
    """

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'

    @property
    def reasons(self) -> list[str]:
        """Why it is not run; empty if it is."""
        return [w.strip() for w in self.marks.get('not run', '').split(',') if w]


def pages() -> list[str]:
    """List the Markdown files for people, relative to the repository."""
    found = [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('demo/*.md')]
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
    """List the code blocks of a page. Indented ones have the language ``indented``."""
    found: list[Block] = []
    every = {'not run': LEDGER_REASONS} if page == LEDGER else {}
    marks = dict(every)
    for token in _tokens(page):
        if token.type == 'html_block':
            marks.update(MARK.findall(token.content))
        elif token.type in ('fence', 'code_block'):
            kind = token.info.strip() if token.type == 'fence' else 'indented'
            found.append(Block(page, token.map[0] + 1, kind, token.content, marks))
            marks = dict(every)
        elif token.type in ('paragraph_open', 'heading_open', 'table_open'):
            marks = dict(every)
    return found


def every_block() -> list[Block]:
    """List the code blocks of all pages."""
    return [block for page in pages() for block in blocks(page)]


def inline_tokens(page: str) -> Iterator:
    """Yield what stands in the paragraphs, headings and cells of a page."""
    for token in _tokens(page):
        if token.type == 'inline':
            yield from token.children


def inline_code(page: str) -> list[str]:
    """List what stands between backticks in the text of a page."""
    return [
        token.content for token in inline_tokens(page) if token.type == 'code_inline'
    ]


def links(page: str) -> list[str]:
    """List where links and pictures of a page lead."""
    found = []
    for token in inline_tokens(page):
        target = token.attrGet('href') or token.attrGet('src')
        if target:
            found.append(target)
    for token in _tokens(page):
        if token.type == 'html_block':
            found += re.findall(r'(?:href|src)="([^"]+)"', token.content)
    return found


@cache
def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub and the site give to the headings of a page."""
    found: dict[str, int] = {}
    names = set()
    tokens = _tokens(page)
    for i, token in enumerate(tokens):
        if token.type != 'heading_open':
            continue
        text = ''.join(
            t.content
            for t in tokens[i + 1].children
            if t.type in ('text', 'code_inline')
        )
        slug = re.sub(r'[^\w\- ]', '', text.strip().lower()).replace(' ', '-')
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.add(f'{slug}-{count}' if count else slug)
    names.update(re.findall(r'<a (?:id|name)="([^"]+)"', read(page)))
    return names


def cells(page: str) -> list[list[str]]:
    """List the lines of all tables of a page, each a list of its cells' texts."""
    lines: list[list[str]] = []
    tokens = _tokens(page)
    for i, token in enumerate(tokens):
        if token.type == 'tr_open':
            lines.append([])
        elif token.type in ('td_open', 'th_open'):
            lines[-1].append(tokens[i + 1].content)
    return lines


def tracked() -> list[str]:
    """List the files of the repository, those not yet committed included."""
    done = subprocess.run(
        ['git', 'ls-files', '-co', '--exclude-standard'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        names = done.stdout.splitlines()
    else:  # a source distribution
        names = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob('*') if p.is_file()]
        names = [n for n in names if not n.startswith('.') and '__pycache__' not in n]
    return [name for name in names if (ROOT / name).is_file()]


def summary() -> str:
    """Say how many blocks are run, how many are not, and why."""
    runnable = [block for block in every_block() if block.language in RUNNABLE]
    excused = [block for block in runnable if block.reasons]
    reasons = Counter(reason for block in excused for reason in block.reasons)
    words = ', '.join(f'{reason} {count}' for reason, count in reasons.most_common())
    return (
        f'{len(runnable) - len(excused)} code blocks are run; {len(excused)} are only '
        f'checked, for want of: {words}'
    )


if __name__ == '__main__':
    print(summary())
