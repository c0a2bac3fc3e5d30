"""Every link of every page leads somewhere, and every file named is there."""

import re

import pytest

from tests.docs import commands
from tests.docs.pages import ROOT, anchors, blocks, inline_code, links, pages, read


@pytest.mark.parametrize('page', pages())
def test_links_and_anchors_resolve(page):
    broken = []
    for target in links(page):
        if re.match(r'(?:https?|mailto):', target):
            continue
        path, _, anchor = target.partition('#')
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists():
            broken.append(target)
        elif anchor and file.suffix == '.md':
            name = file.resolve().relative_to(ROOT).as_posix()
            if anchor not in anchors(name):
                broken.append(target)
    assert not broken


@pytest.mark.parametrize('page', pages())
def test_files_named_in_the_text_are_there(page):
    named = {name for code in inline_code(page) for name in commands.files_named(code)}
    saved = {block.marks.get('saved as') for block in blocks(page)}
    assert [name for name in named - saved if not commands.exists(name)] == []


@pytest.mark.parametrize('page', pages())
def test_tools_named_in_the_text_have_the_options_named_with_them(page):
    wrong = []
    for code in inline_code(page):
        words = code.split()
        tools = [word for word in words if re.fullmatch(r'tools/[\w/]+\.py', word)]
        if len(tools) == 1 and commands.exists(tools[0]):
            known = commands.cmd_options(tools[0])
            options = [word.split('=')[0] for word in words if word.startswith('--')]
            wrong += [(tools[0], option) for option in options if option not in known]
    assert not wrong


def test_every_image_in_docs_is_shown_somewhere():
    shown = {target.split('/')[-1] for page in pages() for target in links(page)}
    notebooks = ''.join(
        path.read_text(encoding='utf-8') for path in ROOT.glob('demo/*.ipynb')
    )
    for image in (ROOT / 'docs/images').iterdir():
        assert image.name in shown or image.name in notebooks


def test_no_page_names_a_host_or_path_of_the_machine_it_was_written_on():
    for page in pages():
        assert not re.search(r'(?<![\w.])/(?:root|home/\w+|work)/', read(page)), page
