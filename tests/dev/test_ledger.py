"""Page, metafiles and ledger agree; every figure has a source or a log."""

import hashlib
import json

import pytest
import yaml
from modelindex.load_model_index import load

from dev.ledger import PAGE, ROOT, count, option_words, read, render
from dev.metafiles import metafiles
from tests.helpers import of_the_tree

CONFIGS = ROOT / 'configs'
LEDGER = read()
ROWS = [row for table in LEDGER['tables'] for row in table['rows']]
OURS = [row for row in ROWS if 'config' in row]


@pytest.fixture(scope='module')
def index():
    """The index as MIM loads it."""
    return load(str(ROOT / 'model-index.yml'))


def test_the_page_is_what_the_ledger_says():
    assert PAGE.read_text(encoding='utf-8') == render(LEDGER), (
        'run python -m dev.ledger'
    )


@pytest.mark.slow  # every config is loaded
def test_the_metafiles_are_what_ledger_and_configs_say():
    files = metafiles(LEDGER)
    for name, text in files.items():
        found = (ROOT / name).read_text(encoding='utf-8')
        assert found == text, 'run python -m dev.ledger'
    found = {path.relative_to(ROOT).as_posix() for path in CONFIGS.rglob('metafile.*')}
    assert sorted(found) == yaml.safe_load(files['model-index.yml'])['Import']


def test_every_config_is_in_the_ledger_and_in_the_index(index):
    found = of_the_tree(CONFIGS.rglob('*.py'))
    rows = {row['config'] for row in OURS if not row.get('options')}
    assert {
        p.relative_to(CONFIGS).as_posix() for p in found if p.parent != CONFIGS
    } == rows
    listed = [model.config for model in index.models]
    assert sorted(listed) == sorted(p.relative_to(ROOT).as_posix() for p in found)
    # MIM looks a config up by the lower-case name of its file.
    assert all(m.name == m.config.split('/')[-1][:-3].lower() for m in index.models)
    assert index.check(silent=True) == []


def test_every_model_is_of_a_collection_that_is_there_once(index):
    names = [one.name for one in index.collections]
    assert len(set(names)) == len(names)
    assert {model.in_collection for model in index.models} == set(names)


def test_every_published_figure_has_a_source_and_every_measured_one_a_log(index):
    for row in ROWS:
        assert all(
            source in LEDGER['sources'] for _, source in row.get('published', [])
        )
        if 'measured' not in row:
            continue
        measured = row['measured']
        content = (ROOT / 'docs' / 'logs' / measured['log']).read_bytes()
        assert hashlib.sha256(content).hexdigest() == measured['sha256']
        entries = [json.loads(line) for line in content.splitlines()]
        values = [e[measured['metric']] for e in entries if measured['metric'] in e]
        scale = 100 if 'mAP' in measured['metric'] else 1
        assert round(values[-1] * scale, 3) == measured['value']
    sources = [m.metadata.data.get('Source of Results') for m in index.models]
    assert any(sources) and LEDGER['sources']['unconfirmed'] not in sources


@pytest.mark.slow
@pytest.mark.parametrize('row', OURS, ids=lambda row: row['name'])
def test_all_costs_counted_again_are_those_of_the_ledger(row):
    px = next(table['px'] for table in LEDGER['tables'] if row in table['rows'])
    assert count(row, px) == row['cost']


def test_overrides_come_back_from_the_command_line_as_they_are():
    from mmengine.config import DictAction

    rows = [row for row in OURS if row.get('options')]
    assert rows
    for row in rows:
        for word in option_words(row['options']):
            key, _, text = word.strip("'").partition('=')
            assert DictAction._parse_iterable(text) == row['options'][key]
