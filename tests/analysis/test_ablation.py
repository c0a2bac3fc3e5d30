"""A sweep trains a table's rows with a proxy's data, goes on where it was, and says so."""

import json

import pytest
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop

from mmghost.analysis.ablation import (
    Line,
    data_options,
    markdown,
    measure,
    plan,
    proxy_run,
    sweep,
)
from mmghost.analysis.complexity import Complexity
from mmghost.analysis.reproduction import Row, Table, table
from mmghost.engine.launch import load_config
from mmghost.errors import UserError
from tests.engine.conftest import no_trace_of_other_runners, shapes  # noqa: F401
from tests.engine.toys import ROOT

CONFIGS = ROOT / 'configs'
PROXY = str(CONFIGS / 'ablation' / 'proxy_sign-digits.py')
NARROW = {'model.backbone.widen_factor': 0.25, 'model.head.in_channels': 240}
CONFIG = 'classification/ghostnetv2-1.0_8xb128_in1k.py'


def small_table(key: str = 'toy') -> Table:
    rows = (
        Row(key, 'release', CONFIG, NARROW),
        Row(key, 'clip', CONFIG, {**NARROW, 'model.backbone.dfc.gate': 'clip'}),
        Row(key, 'of-others'),
    )
    return Table(key, 'A toy', 'top-1, %', 64, '', rows)


@pytest.fixture
def planned(shapes, tmp_path):  # noqa: F811
    def make(toy: Table, **kwargs):
        options = {
            'model.head.num_classes': 8,
            'train_cfg.max_epochs': 2,
            'train_dataloader.batch_size': 8,
        }
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            options[f'{loader}.dataset.data_root'] = str(shapes / 'imagenet')
            options[f'{loader}.num_workers'] = 0
            options[f'{loader}.persistent_workers'] = False
        return plan(toy, PROXY, CONFIGS, tmp_path / 'sweep', options=options, **kwargs)

    return make


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_and_trains_nothing_twice(planned, monkeypatch):
    toy, epochs, said = small_table(), [], []
    whole = EpochBasedTrainLoop.run_epoch

    def counted(loop):
        if len(epochs) == 3:
            epochs.append('stopped')
            raise KeyboardInterrupt('--resume')  # as from mmghost.InterruptHook
        epochs.append((loop.runner.work_dir.rsplit('/', 1)[1], loop.epoch))
        return whole(loop)

    monkeypatch.setattr(EpochBasedTrainLoop, 'run_epoch', counted)
    runs = planned(toy)
    with pytest.raises(KeyboardInterrupt, match=r'^interrupted; the same command'):
        sweep(runs, said.append)
    first, second = (run.folder.name for run in runs)
    assert epochs == [(first, 0), (first, 1), (second, 0), 'stopped']
    assert runs[0].result['top1'] >= 0 and runs[1].result is None

    sweep(planned(toy), said.append)
    assert epochs[4:] == [(second, 1)]
    assert 'trained before' in said[-3]

    sweep(planned(toy), said.append)
    assert len(epochs) == 5
    # The same networks in another table are not trained again.
    other = planned(small_table('other'))
    sweep(other, said.append)
    assert len(epochs) == 5
    assert [run.result['top1'] for run in other] == [run.result['top1'] for run in runs]

    lines = measure(toy, runs, CONFIGS, seconds=0)
    assert [line.name for line in lines] == ['release', 'clip']
    assert lines[0].top1 == (runs[0].result['top1'],)
    assert lines[0].cost.macs == lines[1].cost.macs  # a gate has no weights


def test_each_seed_and_each_setting_of_the_proxy_is_a_training_of_its_own(planned):
    toy = small_table()
    folders = [run.folder for run in planned(toy, seeds=(0, 1))]
    assert len(set(folders)) == 4
    assert [run.seed for run in planned(toy, seeds=(0, 1))] == [0, 1, 0, 1]
    assert len(planned(toy, rows=['clip'])) == 1
    with pytest.raises(UserError, match=r"has no row 'clp'.*did you mean clip"):
        planned(toy, rows=['clp'])


def test_a_run_has_the_rows_network_and_the_proxys_everything_else():
    proxy = load_config(PROXY)
    for row in table('5').rows:
        cfg = proxy_run(proxy, Config.fromfile(str(CONFIGS / row.config)))
        assert cfg.model.backbone.type == 'AttentionMobileNetV2'
        assert cfg.model.head.in_channels == 1280
        assert cfg.model.head.num_classes == 10
        assert cfg.model.head.topk == (1,)
        assert cfg.model.head.loss == proxy.model.head.loss
        assert cfg.train_cfg == proxy.train_cfg
        assert cfg.train_dataloader == proxy.train_dataloader
    detector = load_config(str(CONFIGS / 'retinanet_ghostnetv2_coco.py'))
    with pytest.raises(UserError, match='a proxy is a classification config'):
        proxy_run(detector, proxy)


def test_the_table_says_that_it_is_a_proxys():
    lines = [
        Line('a', Complexity(6_156_908, 167_048_288), 21.25, (80.0, 90.0)),
        Line('b', Complexity(5_180_000, 141_200_000), None, ()),
    ]
    text = markdown(small_table(), lines, load_config(PROXY), 2)
    assert 'by proxy, no ImageNet figures' in text
    assert '| a | 6.16 M | 167.0 M | 21.2 | 85.00 (80.00 to 90.00) |' in text
    assert '| b | 5.18 M | 141.2 M |  | not trained yet |' in text


def test_a_half_written_result_is_none(planned):
    run = planned(small_table())[0]
    run.folder.mkdir(parents=True)
    (run.folder / 'result.tmp').write_text('{"top1":')
    assert run.result is None
    (run.folder / 'result.json').write_text(json.dumps({'top1': 1.0}))
    assert run.result == {'top1': 1.0}


def test_data_elsewhere_are_looked_for_before_anything_is_trained(tmp_path):
    proxy, root = load_config(PROXY), str(tmp_path / 'digits')
    with pytest.raises(
        UserError, match=r'digits is no folder .* holds train and val, as'
    ):
        data_options(proxy, root)
    (tmp_path / 'digits/val').mkdir(parents=True)
    with pytest.raises(
        UserError, match=r'digits has no train .* holds train and val, as'
    ):
        data_options(proxy, root)
    (tmp_path / 'digits/train').mkdir()
    moved = load_config(PROXY, data_options(proxy, root))
    for loader in (moved.train_dataloader, moved.val_dataloader, moved.test_dataloader):
        assert loader.dataset.data_root == root
