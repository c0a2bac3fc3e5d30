"""What MIM reads lists every config once, and claims what the ledger shows and no more."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from modelindex.load_model_index import load

from mmghost.analysis.metafiles import metafiles
from mmghost.analysis.reproduction import sources, tables
from mmghost.weights import catalogue
from tests.engine.toys import ROOT
from tests.helpers import of_the_tree

CONFIGS = ROOT / 'configs'
ROWS = [row for table in tables().values() for row in table.rows]


@pytest.fixture(scope='module')
def index():
    """The index as MIM loads it: from the folder that is installed as mmghost/.mim."""
    return load(str(ROOT / 'model-index.yml'))


@pytest.fixture(scope='module')
def models(index):
    return {model.name: model for model in index.models}


def config_below_base(model):
    """The config of a model, or the one that its short name stands for."""
    path = ROOT / model.config
    if path.parent == CONFIGS:
        text = path.read_text(encoding='utf-8')
        path = CONFIGS / re.search(r"_base_ = '\./(.+)'", text).group(1)
    return path.relative_to(CONFIGS).as_posix()


def rows_of(model):
    config = config_below_base(model)
    return [row for row in ROWS if row.config == config and not row.options]


def figures(model):
    """Each figure of a model: data set, metric and value."""
    for result in model.results or ():
        for metric, value in result.metrics.items():
            yield result.dataset, metric, value


def test_the_files_are_what_the_ledger_and_the_configs_say():
    for name, text in metafiles(CONFIGS).items():
        kept = (ROOT / name).read_text(encoding='utf-8')
        assert kept == text, 'run tools/analysis_tools/reproduction.py'


def test_configs_of_ones_own_are_no_models_of_the_zoo(tmp_path):
    base = 'classification/ghostnetv2-1.0_8xb128_in1k.py'
    copy = tmp_path / 'configs'
    shutil.copytree(CONFIGS / '_base_', copy / '_base_')
    shutil.copytree(CONFIGS / 'classification', copy / 'classification')
    (copy / 'short.py').write_text(f"# Its name.\n_base_ = './{base}'\n")
    listed = metafiles(copy)
    assert 'Name: short\n' in listed['configs/metafile.yml']
    (copy / 'other.py').write_text(f"_base_ = './{base}'\nload_from = 'a.pth'\n")
    (copy / 'several.py').write_text(f"_base_ = ['./{base}']\n")
    (copy / 'none.py').write_text('work_dir = None\n')
    assert metafiles(copy) == listed


def test_there_are_no_other_metafiles():
    found = {path.relative_to(ROOT).as_posix() for path in CONFIGS.rglob('metafile.*')}
    listed = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert sorted(found) == listed


def test_the_library_of_the_format_finds_no_fault(index):
    assert index.check(silent=True) == []


def test_every_config_is_listed_once_under_its_own_name(index):
    listed = [model.config for model in index.models]
    found = {
        path.relative_to(ROOT).as_posix() for path in of_the_tree(CONFIGS.rglob('*.py'))
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == found
    for model in index.models:
        assert model.name == Path(model.config).stem


def test_names_are_those_that_mim_can_look_up(models):
    # MIM turns what is asked for into lower case, and finds a config by its file's name.
    assert len(models) == len(of_the_tree(CONFIGS.rglob('*.py')))
    assert all(name == name.lower() for name in models)


def test_every_model_is_of_one_collection_that_has_a_paper(index):
    collections = {one.name: one for one in index.collections}
    assert len(collections) == len(index.collections)
    used = {model.in_collection for model in index.models}
    assert used == set(collections)
    for one in collections.values():
        assert re.fullmatch(r'https://arxiv\.org/abs/\d{4}\.\d{5}', one.paper['URL'])


def test_costs_are_those_that_were_counted(index):
    for model in index.models:
        (row, *_) = rows_of(model)
        data = model.metadata.data
        assert (data['Parameters'], data['FLOPs']) == tuple(row.model), model.name
        assert data['Input Size'] == f'{row.shape[0]}x{row.shape[1]}', model.name


def test_every_figure_is_published_with_its_source_or_measured_with_its_log(index):
    said = 0
    for model in index.models:
        for _, _, value in figures(model):
            source = model.metadata.data['Source of Results']
            assert source != sources()['unconfirmed']
            published = {
                (figure, sources()[key])
                for r in rows_of(model)
                for figure, key in r.published
            }
            measured = {
                (r.measured['value'], f'docs/logs/{r.measured["log"]}')
                for r in rows_of(model)
                if r.measured
            }
            log = source.split()[-1]
            assert (value, source) in published or (value, log) in measured, model.name
            said += 1
    assert said, 'the ledger holds figures, so some must be here'


def test_what_nobody_published_and_nobody_measured_has_no_figure(index):
    for model in index.models:
        known = [key for row in rows_of(model) for _, key in row.published]
        if not any(row.measured for row in rows_of(model)):
            confirmed = [key for key in known if key != 'unconfirmed']
            assert bool(list(figures(model))) == bool(confirmed), model.name


def test_weights_are_those_of_the_whole_model_and_known(index):
    urls = {w.url: e for e in catalogue.entries().values() for w in e.weights}
    with_weights = [model for model in index.models if model.weights]
    assert with_weights
    for model in with_weights:
        entry = urls[model.weights]
        assert 'in1k' in config_below_base(model)
        assert (entry.parameters, entry.macs) == (
            model.metadata.data['Parameters'],
            model.metadata.data['FLOPs'],
        )
    # MIM saves a file under the last part of its address.
    names = {url.rsplit('/', 1)[-1] for url in {m.weights for m in with_weights}}
    assert len(names) == len({model.weights for model in with_weights})


@pytest.mark.parametrize(
    ('name', 'fields'),
    [
        (
            'yolov3_ghostnetv2-1.0_8xb24-ms-416-300e_coco',
            {'Epochs': 300, 'Batch Size': 192, 'Training Data': 'COCO'},
        ),
        (
            'ghostnetv2-1.0-d8_deeplabv3_4xb4-160k_ade20k-512x512',
            {'Iterations': 160000, 'Batch Size': 16, 'Training Data': 'ADE20K'},
        ),
        (
            'ghostnetv2-1.0_8xb128_in1k',
            {'Epochs': 450, 'Batch Size': 1024, 'Parameters': 6156908},
        ),
        ('ghostnetv2_imagenet', {'Epochs': 450, 'Parameters': 6156908}),
    ],
)
def test_schedules_are_read_from_the_configs(models, name, fields):
    data = models[name].metadata.data
    assert {key: data.get(key) for key in fields} == fields
