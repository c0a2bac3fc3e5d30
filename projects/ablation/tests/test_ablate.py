"""A sweep trains the rows of a table with a proxy's data, and continues where it was."""

import pytest
from mmengine.runner import EpochBasedTrainLoop

from mmghost.analysis import Complexity, config_cost
from mmghost.engine.building import build_model
from mmghost.engine.launch import load_config
from mmghost.errors import UserError
from mmghost.models.ghostnet import dfc_by_bottleneck
from projects.ablation import ablate
from projects.ablation.ablate import Line, markdown, measure, plan, sweep
from projects.ablation.tables import ROOT, TABLES, TITLES, dfc
from tests.conftest import no_trace_of_other_runners, shapes  # noqa: F401

PROXY = str(ROOT / ablate.PROXY)


@pytest.fixture
def proxy(shapes):  # noqa: F811
    options = {
        'model.head.num_classes': 8,
        'train_cfg.max_epochs': 2,
        'train_dataloader.batch_size': 8,
    }
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options[f'{loader}.dataset.data_root'] = str(shapes / 'imagenet')
        options[f'{loader}.num_workers'] = 0
    return load_config(PROXY, options)


def test_dfc_adds_a_quarter_of_each_expansion_to_mobilenetv2():
    costs = [config_cost(TABLES['5'][name].load()).whole for name in ('none', 'dfc')]
    assert costs[0].macs == 300_774_272
    model = build_model(TABLES['5']['none'].load())
    added, size = 0, 112
    for block in (b for i in range(2, 8) for b in getattr(model.backbone, f'layer{i}')):
        expand = block.conv[0].conv
        weights = expand.weight.numel() + 10 * expand.out_channels  # 1x1, 1x5 and 5x1
        added += weights * (size // 2) ** 2
        size //= block.stride
    assert costs[1].macs - costs[0].macs == added


def test_every_row_is_another_network_than_the_others_of_its_table():
    for key, table in TABLES.items():
        assert key in TITLES
        networks = {
            (row.config, str(dfc_by_bottleneck(row.dfc))) for row in table.values()
        }
        assert len(networks) == len(table), key


def test_a_run_has_the_network_of_the_row_and_everything_else_of_the_proxy(
    proxy, tmp_path
):
    runs = plan('5', proxy, tmp_path, rows=['none', 'dfc'], seeds=(0, 1))
    assert len({run.folder for run in runs}) == 4
    for run in runs:
        assert run.cfg.model.backbone.type == 'AttentionMobileNetV2'
        assert run.cfg.model.head.in_channels == 1280
        assert run.cfg.model.head.num_classes == 8
        assert run.cfg.train_cfg == proxy.train_cfg
        assert run.cfg.randomness.seed == run.seed
    with pytest.raises(UserError, match=r"has no row 'sse'; did you mean se"):
        plan('5', proxy, tmp_path, rows=['sse'])
    detector = load_config(str(ROOT / 'configs/retinanet_ghostnetv2_coco.py'))
    with pytest.raises(UserError, match='a proxy is a classification config'):
        plan('5', detector, tmp_path)


@pytest.mark.slow
def test_a_stopped_sweep_continues_and_trains_nothing_twice(
    proxy, tmp_path, monkeypatch
):
    toy = dict(release=dfc(), clip=dfc(gate='clip'))
    monkeypatch.setitem(ablate.TABLES, 'toy', toy)
    monkeypatch.setitem(ablate.TABLES, 'other', toy)
    epochs, said = [], []
    whole = EpochBasedTrainLoop.run_epoch

    def counted(loop):
        if len(epochs) == 3:
            epochs.append('stopped')
            raise KeyboardInterrupt
        epochs.append((loop.runner.work_dir.rsplit('/', 1)[1], loop.epoch))
        return whole(loop)

    monkeypatch.setattr(EpochBasedTrainLoop, 'run_epoch', counted)
    runs = plan('toy', proxy, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        sweep(runs, said.append)
    first, second = (run.folder.name for run in runs)
    assert epochs == [(first, 0), (first, 1), (second, 0), 'stopped']
    assert runs[0].top1 is not None and runs[1].top1 is None

    sweep(plan('toy', proxy, tmp_path), said.append)
    assert epochs[4:] == [(second, 1)]
    assert 'trained before' in said[-3]
    other = plan('other', proxy, tmp_path)  # the same networks in another table
    sweep(other, said.append)
    assert len(epochs) == 5
    lines = measure('toy', runs, seconds=0)
    assert [line.top1 for line in lines] == [(run.top1,) for run in other]


def test_the_table_says_that_its_accuracies_are_a_proxys(proxy):
    lines = [
        Line('a', Complexity(6_156_908, 167_048_288), 21.25, (80.0, 90.0)),
        Line('b', Complexity(5_180_000, 141_200_000), None, ()),
    ]
    text = markdown('9', lines, proxy)
    assert 'by proxy, no ImageNet figures' in text
    assert '| a | 6.16 M | 167.0 M | 21.2 | 85.00 (80.00 to 90.00) |' in text
    assert '| b | 5.18 M | 141.2 M |  | not trained yet |' in text
