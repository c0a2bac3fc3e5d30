"""The tour has the outputs of a complete run, and it runs again."""

import re

import pytest

from tests.notebook import MACHINE, NOTEBOOK, code_cells, execute, kinds, read, texts


def test_cells_were_run_in_order_without_errors():
    cells = code_cells(read())
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert cell['outputs'], ''.join(cell['source'])
        assert all(output['output_type'] != 'error' for output in cell['outputs'])
        assert not MACHINE.search(texts(cell)), cell['id']


def test_outputs_have_the_images_and_stay_small():
    images = [kind for cell in code_cells(read()) for kind in kinds(cell)]
    # Data, curves, predictions, attention, predictions of the exported file.
    assert images.count('image/jpeg') == 5
    assert NOTEBOOK.stat().st_size < 1_000_000  # bytes


def test_the_detector_has_learned_something():
    printed = ''.join(texts(cell) for cell in code_cells(read()))
    aps = [float(ap) for ap in re.findall(r'coco/bbox_mAP: (\d\.\d+)', printed)]
    assert aps[-1] > 0.1, aps  # chance is 0.000


def test_tools_and_linked_pages_exist(root):
    for cell in read()['cells']:
        source = ''.join(cell['source'])
        links = re.findall(r'\]\(\.\./((?!http)[^)#]+)', source)
        tools = re.findall(r'tools/[\w/]+\.py', source)
        assert all((root / name).is_file() for name in links + tools)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # three minutes on two free cores; tests share them
def test_every_cell_runs_again_with_the_same_kinds_of_output(tmp_path):
    pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    again, kept = code_cells(execute(tmp_path)), code_cells(read())
    assert [kinds(cell) for cell in again] == [kinds(cell) for cell in kept]
