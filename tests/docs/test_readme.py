"""README.md and README_zh-CN.md say the same, and their figures are those of the sources."""

import json
import re

import pytest

from mmghost.weights import catalogue
from tests.docs.pages import ROOT, blocks, cells, links, read

ENGLISH, CHINESE = 'README.md', 'README_zh-CN.md'
METRICS = {
    'box AP': 'coco/bbox_mAP',
    'mask AP': 'coco/segm_mAP',
    'top-1': 'accuracy/top1',
}


def structure(page: str) -> dict:
    """Return what must be equal in both languages."""
    rows = [' | '.join(row) for row in cells(page)]
    return dict(
        blocks=[(b.language, b.text, b.marks) for b in blocks(page)],
        links=sorted(set(links(page)) - {ENGLISH, CHINESE}),
        figures=[sorted(re.findall(r'\d+(?:[.,]\d+)*', row)) for row in rows],
        commands=[re.findall(r'`[^`]+`', row) for row in rows],
        headings=re.findall(r'^(#+) ', read(page), re.M),
    )


@pytest.mark.parametrize('part', structure(ENGLISH))
def test_both_languages_have_the_same(part):
    assert structure(ENGLISH)[part] == structure(CHINESE)[part]


def test_published_figures_are_those_of_the_catalogue():
    rows = [row for row in cells(ENGLISH) if row[0].startswith('GhostNetV2 1.')]
    assert len(rows) == 3
    for name, parameters, macs, authors, timm in rows:
        entry = catalogue.entry(name.replace('GhostNetV2 ', 'ghostnetv2-'))
        release = next(w for w in entry.weights if w.tag == 'release')
        assert parameters == f'{entry.parameters / 1e6:.2f} M'
        assert macs == f'{entry.macs / 1e6:.1f} M'
        assert [float(authors), float(timm)] == [value for value, _ in release.top1]


def test_measured_figures_are_those_of_their_logs():
    for spread in re.findall(r'[\d.]+ ± [\d.]+', read(ENGLISH)):
        assert f'{spread} (3)' in read('docs/results.md')
    rows = [row for row in cells(ENGLISH) if 'docs/logs/' in row[1]]
    assert rows
    for _, result, _ in rows:
        metric, figure = re.search(r'([A-Za-z][\w -]*?) ([\d.]+)', result).groups()
        log = ROOT / re.search(r'docs/logs/\S+?\.json', result).group()
        last = json.loads(log.read_text().splitlines()[-1])
        digits = len(figure.partition('.')[2])
        assert round(last[METRICS[metric]], digits) == float(figure)
        assert re.search(rf'(?<![\d.]){figure}(?!\d)', read('docs/results.md'))


def test_the_speedups_are_those_of_the_benchmark():
    known = {(r[0], r[1], r[4]) for r in cells('docs/benchmark.md') if len(r) == 6}
    forms = {form for _, form, _ in known} - {'form'}
    rows = [row for row in cells(ENGLISH) if row[0] in forms]
    assert len(rows) == 6
    networks = ('mmghost:ghostnetv2-1.0', 'timm:ghostnetv2_100') * 2
    for form, *figures in rows:
        assert {(n, form, x) for n, x in zip(networks, figures, strict=True)} <= known


@pytest.mark.parametrize(('column', 'stack'), [(1, 'onedl'), (2, 'openmmlab')])
def test_versions_are_the_pinned_ones(column, stack):
    pins = (ROOT / f'requirements/{stack}.txt').read_text()
    rows = {row[0]: row[column] for row in cells(ENGLISH) if len(row) == 3}
    assert f'torch=={rows["torch"]}\n' in pins
    for toolbox in ('mmdetection', 'mmsegmentation', 'mmpretrain'):
        assert '=='.join(rows[toolbox].split()) + '\n' in pins
