"""Links resolve, commands parse, and every file, flag and name on a page exists."""

import ast
import importlib
import re
import subprocess
from pathlib import Path

import mmdet
import pytest

from mmghost.models import GhostNetV2
from tests.docs import commands
from tests.docs.pages import (
    ROOT,
    anchors,
    blocks,
    cells,
    inline_code,
    links,
    pages,
)

EACH_PAGE = pytest.mark.parametrize('page', pages())
FILE = re.compile(
    r'(?<![\w/)-])'
    r'(?:configs|dev|docs|mmghost|projects|requirements|tests|tools)/[\w./-]+\.\w+'
)
THEIRS = Path(mmdet.__path__[0]) / '.mim'


@EACH_PAGE
def test_links_and_anchors_resolve(page):
    broken = []
    for target in links(page):
        if re.match(r'(?:https?|mailto):', target):
            continue
        path, _, anchor = target.partition('#')
        file = (ROOT / page).parent / path if path else ROOT / page
        there = anchors(file) if anchor and file.suffix == '.md' else {anchor}
        if not file.exists() or anchor not in there:
            broken.append(target)
    assert not broken


@EACH_PAGE
def test_commands_parse_and_name_files_that_exist(page):
    made = {b.marks['saved as'] for b in blocks(page) if 'saved as' in b.marks}
    for block in blocks(page):
        if block.language != 'bash' or 'quotation' in block.reason:
            continue
        shell = subprocess.run(['bash', '-n'], input=block.text, text=True)
        assert shell.returncode == 0, f'{block}: not valid shell'
        for command in commands.split(block.text):
            commands.check(command, made)


@EACH_PAGE
def test_python_blocks_import_names_that_exist(page):
    for block in blocks(page):
        if block.language == 'python':
            for node in ast.walk(ast.parse(block.text, str(block))):
                if isinstance(node, ast.ImportFrom) and 'mmghost' in node.module:
                    module = importlib.import_module(node.module)
                    for alias in node.names:
                        assert hasattr(module, alias.name), f'{block}: {alias.name}'


# CHANGELOG.md names what was removed.
@pytest.mark.parametrize('page', [p for p in pages() if p != 'CHANGELOG.md'])
def test_files_and_flags_named_in_the_text_exist(page):
    made = {b.marks.get('saved as') for b in blocks(page)}
    tools = {path.name: path for path in ROOT.glob('tools/**/*.py')}
    shared = (ROOT / 'mmghost/engine/options.py').read_text()
    for code in inline_code(page):
        for name in set(FILE.findall(code)) - made:
            found = any((r / name).exists() for r in (ROOT, ROOT / 'tests', THEIRS))
            assert found or re.search(r'mine|NAME|\.\.', name), name
        words = code.split()
        for tool in {w.rpartition('/')[2] for w in words} & set(tools):
            if '(' not in code:  # of a toolbox
                source = tools[tool].read_text() + shared
                flags = [w.split('=')[0] for w in words if w.startswith('--')]
                assert [flag for flag in flags if flag not in source] == [], code


def test_the_reference_has_every_public_name_and_only_those_that_exist():
    text = (ROOT / 'docs/api.rst').read_text()
    documented = re.findall(r'^\.\. autoapi\w+:: (\S+)$', text, re.M)
    for name in documented:
        module, _, attribute = name.rpartition('.')
        assert hasattr(importlib.import_module(module), attribute), name
    last = {name.rpartition('.')[2] for name in documented}
    for package in ('models', 'weights', 'engine', 'datasets', 'recipes', 'analysis'):
        module = importlib.import_module(f'mmghost.{package}')
        # PretrainedGhostNet is written as `init_cfg=dict(type='Pretrained')`.
        assert set(module.__all__) - {'PretrainedGhostNet'} <= last, package


def test_channels_and_strides_of_the_stages_are_those_of_the_backbone():
    rows = {row[0]: row[1:] for row in cells('docs/configs.md')}
    labels = {'channels at width 1.0': 1.0, 'at 1.3': 1.3, 'at 1.6': 1.6}
    for label, width in labels.items():
        model = GhostNetV2(width, out_indices=tuple(range(6)))
        assert tuple(map(int, rows[label])) == model.out_channels
        assert tuple(map(int, rows['stride'])) == model.out_strides
