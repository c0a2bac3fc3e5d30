"""Tables of the pages that say how networks are built are those of the networks."""

import json

import pytest
import torch
from mmengine.registry import MODELS

from mmghost.models import GhostNetV2
from tests.docs.pages import cells


def rows(page: str, first: str) -> list[list[str]]:
    """The lines of a table whose first cell begins with a word."""
    return [line for line in cells(page) if line[0].startswith(first)]


@pytest.mark.parametrize(
    ('first', 'width'),
    [('channels at width 1.0', 1.0), ('at 1.3', 1.3), ('at 1.6', 1.6)],
)
def test_the_channels_of_the_stages(first, width):
    (line,) = rows('docs/configs.md', first)
    found = GhostNetV2(width, out_indices=tuple(range(6))).out_channels
    assert tuple(map(int, line[1:])) == found


def test_the_strides_of_the_stages():
    (line,) = rows('docs/configs.md', 'stride')
    assert (
        tuple(map(int, line[1:])) == GhostNetV2(out_indices=tuple(range(6))).out_strides
    )


def test_the_arguments_of_the_backbone_are_its_defaults():
    (line,) = rows('docs/migrating.md', 'maps')
    assert line[2] == '`out_indices=(1, 2, 3, 4)`'
    assert GhostNetV2().out_indices == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ('first', 'config'),
    [
        ('GhostNetV2', dict(type='mmghost.GhostNetV2')),
        ('GhostNetV2', dict(type='mmghost.GhostNetV1')),
        ('MobileNetV2', dict(type='mmdet.MobileNetV2')),
        ('MobileNetV2', dict(type='mmpretrain.MobileNetV2')),
        ('ResNet-18', dict(type='mmdet.ResNet', depth=18)),
        ('ResNet-50', dict(type='mmdet.ResNet', depth=50)),
    ],
)
def test_the_channels_of_other_backbones(first, config):
    line = next(row for row in rows('docs/migrating.md', first) if len(row) == 3)
    indices = tuple(int(i) for i in line[1].strip('`()').split(','))
    model = MODELS.build({**config, 'out_indices': indices})
    model.eval()
    with torch.no_grad():
        maps = model(torch.rand(1, 3, 64, 64))
    assert [m.shape[1] for m in maps] == [int(c) for c in line[2].split(',')]
    assert [64 // m.shape[-1] for m in maps] == [4, 8, 16, 32]


def test_the_parameters_of_the_nuclei_models_are_the_ledgers(root):
    counted = {}
    ledger = json.loads((root / 'dev/reproduction.json').read_text())
    for table in ledger['tables']:
        for row in table['rows']:
            figure = row.get('measured', {}).get('value')
            counted[figure] = row.get('cost', {}).get('model', [0])[0]
    lines = cells('docs/results.md')
    (start,) = [i for i, line in enumerate(lines) if 'parameters, all' in line]
    for _, _, parameters, figure, *_ in lines[start + 1 : start + 5]:
        assert parameters == f'{counted[float(figure)] / 1e6:.2f} M'
