"""The ledger is up to date, whole, counted and not typed."""

import hashlib
import json
import shutil

import pytest
from mmengine.config import Config

from mmghost.analysis import reproduction
from mmghost.analysis.reproduction import (
    count,
    option_words,
    record,
    render,
    row_config,
    tables,
)
from mmghost.engine.launch import set_loader_defaults
from mmghost.errors import UserError
from tests.engine.toys import ROOT
from tests.helpers import of_the_tree

CONFIGS = ROOT / 'configs'
ROWS = [row for table in tables().values() for row in table.rows]
OURS = [row for row in ROWS if row.config is not None]


def by_id(row_id):
    return next(row for row in ROWS if row.id == row_id)


def test_the_page_is_what_the_data_file_says():
    page = (ROOT / 'docs' / 'reproduction.md').read_text(encoding='utf-8')
    assert page == render(), 'run tools/analysis_tools/reproduction.py'


def test_every_row_of_ours_has_a_config_a_command_and_a_cost():
    assert len({row.id for row in ROWS}) == len(ROWS)
    for row in OURS:
        assert (CONFIGS / row.config).is_file(), row.id
        assert row.model is not None, (
            f'{row.id}: run tools/analysis_tools/reproduction.py'
        )
        assert row.command or not row.gpus, row.id
    for row in ROWS:
        assert row.config or row.note or row.published, row.id


def test_every_config_but_the_short_names_is_in_the_ledger():
    found = {
        path.relative_to(CONFIGS).as_posix()
        for path in of_the_tree(CONFIGS.glob('*/*.py'))
    }
    listed = {row.config for row in OURS if not row.options}
    assert found == listed, 'add rows to mmghost/analysis/reproduction.json'


def test_every_figure_of_others_has_a_source_that_is_named():
    sources = json.loads(reproduction.DATA.read_text())['sources']
    assert 'never seen in a source' in sources['unconfirmed']
    for row in ROWS:
        for value, source in row.published:
            assert value > 0
            assert source in sources, row.id


@pytest.mark.parametrize(
    ('row_id', 'params', 'macs'),
    [
        ('imagenet/ghostnetv2-1.0', '6.156908', '167.048288'),
        ('imagenet/ghostnetv2-1.3', '8.960404', '269.322976'),
        ('imagenet/ghostnetv2-1.6', '12.392698', '398.607224'),
        ('imagenet/ghostnetv1-1.0', '5.183', '141.2'),
        ('imagenet/ghostnetv1-1.1', '5.86', '167.0'),
        ('imagenet/ghostnetv1-1.3', '7.36', '227.0'),
        ('imagenet/ghostnetv1-1.4', '8.19', '262.8'),
        ('imagenet/ghostnetv1-1.7', '11.00', '378.0'),
        ('6/none', '5.183', '141.2'),
        ('6/3', None, '165.7'),
        ('6/5', None, '167.0'),
        ('6/7', None, '168.4'),
        ('6/9-7-5-5', None, '168.2'),
        ('6/11-9-7-7', None, '169.6'),
        ('7/stages-0-to-4', None, '172.3'),
        ('yolov3-320/yolov3-320-ghostnetv2-1.0', None, '341.1'),
        ('yolov3-416/yolov3-416-ghostnetv2-1.0', None, '569.6'),
    ],
)
def test_the_costs_in_the_ledger_are_those_of_the_released_code(row_id, params, macs):
    network = by_id(row_id).network
    for value, said in ((network.params, params), (network.macs, macs)):
        if said is not None:
            assert f'{value / 1e6:.{len(said.split(".")[1])}f}' == said


@pytest.mark.parametrize('row_id', ['6/9-7-5-5', '5/dfc', '10/full-size'])
def test_some_costs_counted_again_are_those_in_the_ledger(row_id):
    recounted(by_id(row_id))


@pytest.mark.slow
@pytest.mark.parametrize('row', OURS, ids=lambda row: row.id)
def test_all_costs_counted_again_are_those_in_the_ledger(row):
    recounted(row)


def recounted(row):
    cost = count(row, tables()[row.table].px, CONFIGS)
    assert tuple(cost['model']) == row.model
    assert tuple(cost['shape']) == row.shape
    assert cost.get('network') == (row.network and list(row.network))


def test_every_override_builds_another_network_than_its_config():
    for row in OURS:
        if row.options:
            plain = Config.fromfile(str(CONFIGS / row.config))
            assert row_config(row, CONFIGS).model != plain.model, row.id


def test_overrides_come_back_from_the_command_line_as_they_are():
    from mmengine.config import DictAction

    for row in OURS:
        for word in option_words(row.options):
            key, text = word.strip("'").split('=')
            value = DictAction._parse_iterable(text)
            assert value == row.options[key], row.id


def test_every_measured_figure_is_in_the_log_that_it_names():
    for row in ROWS:
        if row.measured is None:
            continue
        log = ROOT / 'docs' / 'logs' / row.measured['log']
        content = log.read_bytes()
        assert hashlib.sha256(content).hexdigest() == row.measured['sha256']
        entries = [json.loads(line) for line in content.splitlines()]
        values = [
            e[row.measured['metric']] for e in entries if row.measured['metric'] in e
        ]
        scale = 100 if 'mAP' in row.measured['metric'] else 1
        assert round(values[-1] * scale, 3) == row.measured['value']


def test_the_page_of_results_shows_the_figures_of_the_ledger():
    page = (ROOT / 'docs' / 'results.md').read_text(encoding='utf-8')
    measured = [row for row in ROWS if row.measured and row.table.startswith('small')]
    assert measured
    for row in measured:
        value = row.measured['value']
        ap = (
            'mAP' in row.measured['metric']
        )  # there in %, here as COCO's tools print it
        assert (f'{value / 100:.3f}' if ap else f'{value:.2f}') in page, row.id


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Make what a finished training of a row leaves, and a copy of the data file."""
    copy = tmp_path / 'reproduction.json'
    shutil.copyfile(reproduction.DATA, copy)
    monkeypatch.setattr(reproduction, 'DATA', copy)

    def make(row_id, checkpoint, evaluations, options=None):
        work_dir = tmp_path / 'work'
        (work_dir / 'now' / 'vis_data').mkdir(parents=True)
        cfg = row_config(by_id(row_id), CONFIGS)
        cfg.work_dir = str(work_dir)
        if cfg.default_scope == 'mmpretrain':  # as train.py
            set_loader_defaults(cfg, pin_memory=True, persistent_workers=None)
        cfg.merge_from_dict(options or {})
        cfg.dump(str(work_dir / 'config.py'))
        (work_dir / checkpoint).touch()
        lines = [{'loss': 2.0, 'iter': 5, 'step': 5}, *evaluations]
        log = work_dir / 'now' / 'vis_data' / 'scalars.json'
        log.write_text('\n'.join(json.dumps(line) for line in lines))
        return work_dir

    return make


FINISHED = ('9/clip-before', 'epoch_450.pth', [{'accuracy/top1': 74.25, 'step': 450}])


@pytest.fixture
def training(train):
    """A finished training of 9/clip-before."""
    return train(*FINISHED)


def test_a_finished_training_is_entered_with_its_log(training, tmp_path):
    logs = tmp_path / 'logs'
    assert record('9/clip-before', training, CONFIGS, logs) == 74.25
    measured = next(r for r in tables()['9'].rows if r.name == 'clip-before').measured
    log = logs / measured['log']
    assert measured['value'] == 74.25
    assert measured['sha256'] == hashlib.sha256(log.read_bytes()).hexdigest()
    assert f'74.25 ([log](logs/{log.name})' in render()
    now = {r.id for t in tables().values() for r in t.rows if r.measured}
    assert now - {r.id for r in ROWS if r.measured} == {'9/clip-before'}


@pytest.mark.parametrize(
    ('row_id', 'harm', 'words'),
    [
        ('9/clip-after', None, 'its model is not that of'),
        ('9/clip', None, 'did you mean'),
        ('9/x', None, 'the rows 9/sigmoid-before, 9/'),
        ('foo/bar', None, 'the tables imagenet, latency, '),
        ('yolov3-320/yolov3-320-mobilenetv2-1.0', None, "somebody else's"),
        ('9/clip-before', 'epoch_450.pth', 'has not come to its end'),
        ('9/clip-before', 'config.py', 'must hold the config'),
    ],
)
def test_a_training_that_is_not_the_rows_is_not_entered(
    training, tmp_path, row_id, harm, words
):
    if harm:
        (training / harm).unlink()
    before = reproduction.DATA.read_text()
    with pytest.raises(UserError, match=words):
        record(row_id, training, CONFIGS, tmp_path / 'logs')
    assert reproduction.DATA.read_text() == before


BY_ITERATIONS = 'ade20k/deeplabv3-ghostnetv2-1.0-d8'


@pytest.mark.parametrize(
    ('checkpoint', 'steps'),
    [
        ('iter_16000.pth', [16000]),  # interrupted after its first evaluation
        ('iter_160000.pth', [16000, 144000]),  # the last checkpoint was not evaluated
        ('iter_144000.pth', [160000]),
    ],
)
def test_a_training_by_iterations_is_entered_at_its_end_only(
    train, tmp_path, checkpoint, steps
):
    evaluations = [{'mIoU': 30.0 + i, 'step': step} for i, step in enumerate(steps)]
    work_dir = train(BY_ITERATIONS, checkpoint, evaluations)
    with pytest.raises(UserError, match='has not come to its end'):
        record(BY_ITERATIONS, work_dir, CONFIGS, tmp_path / 'logs')
    (work_dir / 'iter_160000.pth').touch()
    log = work_dir / 'now' / 'vis_data' / 'scalars.json'
    log.write_text(log.read_text() + '\n' + json.dumps({'mIoU': 40.5, 'step': 160000}))
    assert record(BY_ITERATIONS, work_dir, CONFIGS, tmp_path / 'logs') == 40.5


@pytest.mark.parametrize(
    ('options', 'part'),
    [
        ({'data_preprocessor.mean': [0, 0, 0]}, 'data_preprocessor'),
        ({'custom_hooks': []}, 'custom_hooks'),
        ({'load_from': 'another.pth'}, 'load_from'),
        ({'load_from': 'elsewhere/epoch_9.pth', 'resume': True}, 'load_from'),
        ({'val_dataloader.dataset.split': 'train'}, 'val_dataloader.dataset'),
        ({'val_evaluator.topk': [5]}, 'val_evaluator'),
    ],
)
def test_a_training_of_other_settings_is_not_entered(train, tmp_path, options, part):
    work_dir = train(*FINISHED, options)
    with pytest.raises(UserError, match=f'its {part} is not that of'):
        record('9/clip-before', work_dir, CONFIGS, tmp_path / 'logs')


def test_a_training_that_was_resumed_is_entered(train, tmp_path):
    own = str(tmp_path / 'work' / 'epoch_300.pth')
    work_dir = train(*FINISHED, {'load_from': own, 'resume': True})
    assert record('9/clip-before', work_dir, CONFIGS, tmp_path / 'logs') == 74.25
