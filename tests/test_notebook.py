"""The tour is whole: run in order, with its outputs, and it runs again."""

import ast
import re

import pytest

from tests.notebook import MACHINE, NOTEBOOK, code_cells, execute, kinds, read, texts


def test_every_cell_was_run_once_in_its_order_and_none_failed():
    cells = code_cells(read())
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert cell['outputs'], ''.join(cell['source'])
        assert all(output['output_type'] != 'error' for output in cell['outputs'])


def test_outputs_tell_nothing_of_the_machine():
    for cell in code_cells(read()):
        found = MACHINE.search(texts(cell))
        assert found is None, f'{found.group()} in the output of {cell["id"]}'


def test_outputs_hold_the_pictures_and_stay_small():
    pictures = [kind for cell in code_cells(read()) for kind in kinds(cell)]
    # Data, curves, predictions, attention, predictions of the exported file.
    assert pictures.count('image/jpeg') == 5
    assert NOTEBOOK.stat().st_size < 1_000_000  # bytes


def test_the_detector_of_the_outputs_has_learned_something():
    printed = ''.join(texts(cell) for cell in code_cells(read()))
    aps = [float(ap) for ap in re.findall(r'coco/bbox_mAP: (\d\.\d+)', printed)]
    assert aps[-1] > 0.1, aps  # chance is 0.000


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
def test_every_cell_runs_again_and_puts_out_the_same_kinds(tmp_path):
    pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    again, kept = code_cells(execute(tmp_path)), code_cells(read())
    assert [kinds(cell) for cell in again] == [kinds(cell) for cell in kept]
