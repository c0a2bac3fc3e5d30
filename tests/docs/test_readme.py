"""README.md and README_zh-CN.md say the same, and their figures stand where they come from."""

import json
import re

import pytest

from mmghost.weights import catalogue
from tests.docs.pages import ROOT, blocks, cells, links, read

ENGLISH, CHINESE = 'README.md', 'README_zh-CN.md'
OTHER = {ENGLISH: CHINESE, CHINESE: ENGLISH}
FIGURE = re.compile(r'\d+(?:[.,]\d+)*')


def table_after(page: str, first_cell: str) -> list[list[str]]:
    """The lines of the table whose first line begins with a cell, without that line."""
    lines = cells(page)
    start = next(i for i, line in enumerate(lines) if line[0] == first_cell)
    width = len(lines[start])
    found = []
    for line in lines[start + 1 :]:
        if len(line) != width:
            break
        found.append(line)
    return found


def test_both_have_the_same_blocks():
    ours, theirs = ([(b.language, b.text, b.marks) for b in blocks(p)] for p in OTHER)
    assert ours == theirs


def test_both_have_the_same_links():
    found = [sorted(set(links(page)) - {OTHER[page]}) for page in OTHER]
    assert found[0] == found[1]


def test_both_have_the_same_figures_and_commands_in_their_tables():
    tables = []
    for page in OTHER:
        lines = [' | '.join(line) for line in cells(page)]
        commands = [re.findall(r'`[^`]+`', line) for line in lines]
        tables.append(([sorted(FIGURE.findall(line)) for line in lines], commands))
    assert tables[0] == tables[1]


def test_both_have_the_same_sections():
    levels = [re.findall(r'^(#+) ', read(page), re.M) for page in OTHER]
    assert levels[0] == levels[1]


def test_published_figures_are_the_catalogues():
    rows = {row[0]: row[1:] for row in table_after(ENGLISH, 'network')[:3]}
    assert len(rows) == 3
    for name, (parameters, macs, authors, timm) in rows.items():
        entry = catalogue.entry(name.replace('GhostNetV2 ', 'ghostnetv2-'))
        release = next(w for w in entry.weights if w.tag == 'release')
        figures = [value for value, _ in release.top1]
        assert parameters == f'{entry.parameters / 1e6:.2f} M'
        assert macs == f'{entry.macs / 1e6:.1f} M'
        assert [float(authors), float(timm)] == figures


def test_measured_figures_are_those_of_their_logs_and_of_the_results():
    metrics = {
        'box AP': 'coco/bbox_mAP',
        'mask AP': 'coco/segm_mAP',
        'mIoU': 'mIoU',
        'top-1': 'accuracy/top1',
    }
    rows = table_after(ENGLISH, 'task, data')[:5]
    assert len(rows) == 5
    for task, result, command in rows:
        metric, figure = re.search(r'([A-Za-z][\w -]*?) ([\d.]+)', result).groups()
        assert re.search(rf'(?<![\d.]){figure}(?!\d)', read('docs/results.md')), task
        log = re.search(r'docs/logs/\S+?\.json', result)
        if command == '`make demo`':  # the reader's own demo_output is its log
            continue
        last = json.loads((ROOT / log.group()).read_text().splitlines()[-1])
        digits = len(figure.partition('.')[2])
        assert round(last[metrics[metric]], digits) == float(figure), task
        config = re.search(r'configs/(\S+\.py)', command).group(1)
        assert f'(../configs/{config})' in read('docs/reproduction.md')
        assert (ROOT / 'configs' / config).is_file()


@pytest.mark.parametrize('stack', ['onedl', 'openmmlab'])
def test_versions_are_the_pinned_ones(stack):
    pins = (ROOT / 'requirements' / f'{stack}.txt').read_text(encoding='utf-8')
    column = 1 if stack == 'onedl' else 2
    rows = {row[0]: row[column] for row in cells(ENGLISH) if len(row) == 3}
    assert f'torch=={rows["torch"]}\n' in pins
    for toolbox in ('mmdetection', 'mmsegmentation', 'mmpretrain'):
        assert '=='.join(rows[toolbox].split()) + '\n' in pins


def test_the_citation_is_the_papers():
    text = next(b.text for b in blocks(ENGLISH) if b.language == 'bibtex')
    cff = (ROOT / 'CITATION.cff').read_text(encoding='utf-8')
    for family in re.findall(r'(\w+), \w+', text.split('author=')[1].split('},')[0]):
        assert family in cff
