"""The tour has the outputs of a complete run, and it runs again."""

import json
import os
import re

import pytest

# Traces of the machine in an output: paths, times of day, colors of the terminal.
MACHINE = re.compile(
    r'(?<![\w.:/)])/[\w.-]+/|[A-Z]:\\|site-packages|\d\d:\d\d:\d\d - |\x1b'
)


@pytest.fixture
def notebook(root):
    return json.loads((root / 'demo/mmghost_tour.ipynb').read_text(encoding='utf-8'))


def code_cells(notebook):
    return [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']


def images(cell):
    data = [output.get('data', {}) for output in cell['outputs']]
    return sum('image/jpeg' in kinds for kinds in data)


def printed(cell):
    return ''.join(
        ''.join(output.get('text', output.get('data', {}).get('text/plain', '')))
        for output in cell['outputs']
    )


def test_cells_were_run_in_order_without_errors(notebook):
    cells = code_cells(notebook)
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert cell['outputs'], ''.join(cell['source'])
        assert all(output['output_type'] != 'error' for output in cell['outputs'])
        assert not MACHINE.search(printed(cell)), cell['id']


def test_outputs_have_the_images_and_a_detector_that_learned_something(notebook, root):
    cells = code_cells(notebook)
    # Data, curves, predictions, attention, predictions of the exported file.
    assert sum(map(images, cells)) == 5
    assert (root / 'demo/mmghost_tour.ipynb').stat().st_size < 1_000_000  # bytes
    aps = re.findall(r'coco/bbox_mAP: (\d\.\d+)', ''.join(map(printed, cells)))
    assert float(aps[-1]) > 0.1  # chance is 0.000


def test_tools_and_linked_pages_exist(notebook, root):
    for cell in notebook['cells']:
        source = ''.join(cell['source'])
        links = re.findall(r'\]\(\.\./((?!http)[^)#]+)', source)
        tools = re.findall(r'tools/[\w/]+\.py', source)
        assert all((root / name).is_file() for name in links + tools)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # three minutes on two free cores; tests share them
def test_every_cell_runs_again_with_as_many_images(notebook, root, tmp_path):
    nbformat = pytest.importorskip('nbformat')
    nbclient = pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(root / name)
    again = nbformat.from_dict(notebook)
    env = {**os.environ, 'PYTHONPATH': str(root)}
    client = nbclient.NotebookClient(again, timeout=1200, kernel_name='python3')
    client.execute(cwd=str(tmp_path), env=env)
    assert list(map(images, code_cells(again))) == list(
        map(images, code_cells(notebook))
    )
