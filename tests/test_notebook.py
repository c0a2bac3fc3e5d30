"""The tour names tools and pages that are there, and every cell of it runs."""

import ast
import re

import pytest

from tests.notebook import MACHINE, NOTEBOOK, code_cells, execute, kinds, read, texts


def test_the_commands_are_tools_that_are_there(root):
    source = ''.join(''.join(cell['source']) for cell in code_cells(read()))
    tools = set(re.findall(r'tools/[\w/]+\.py', source))
    assert len(tools) >= 6
    assert all((root / tool).is_file() for tool in tools)
    for cell in code_cells(read()):
        ast.parse(''.join(cell['source']))


def test_links_of_the_text_lead_somewhere():
    for cell in read()['cells']:
        for link in re.findall(r'\]\(((?!http)[^)#]+)', ''.join(cell['source'])):
            assert (NOTEBOOK.parent / link).exists(), link


@pytest.mark.slow
@pytest.mark.timeout(1800)  # three minutes on two free cores; tests share them
def test_every_cell_runs(tmp_path):
    pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    for cell in code_cells(execute(tmp_path)):
        assert kinds(cell), ''.join(cell['source'])
        assert MACHINE.search(texts(cell)) is None
