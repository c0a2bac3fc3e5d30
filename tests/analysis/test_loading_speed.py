"""The benchmark of pipelines times the steps, the loader and the network of a config."""

import time

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmghost.analysis import loading_speed
from mmghost.analysis.loading_speed import (
    check_loader,
    time_loader,
    time_steps,
    time_training,
)
from mmghost.errors import UserError
from tests.engine.conftest import (  # noqa: F401
    no_trace_of_other_runners,
    own_shapes,
    shapes,
)
from tests.engine.toys import write_config


@pytest.fixture
def cfg(tmp_path, shapes) -> Config:  # noqa: F811
    return Config.fromfile(write_config(tmp_path, 'classification', shapes))


def test_every_step_is_timed_in_its_order(cfg, monkeypatch):
    from mmcv.transforms import LoadImageFromFile

    load = LoadImageFromFile.transform

    def slow(self, results):
        time.sleep(0.02)
        return load(self, results)

    monkeypatch.setattr(LoadImageFromFile, 'transform', slow)
    steps = time_steps(cfg, seconds=0.3)
    names = ['LoadImageFromFile', 'Resize', 'PackInputs']
    assert [step.name for step in steps] == names
    assert steps[0].milliseconds > 20
    assert 0 < steps[1].milliseconds < steps[0].milliseconds


def test_a_loader_gives_pictures_of_every_epoch(cfg):
    assert time_loader(cfg, workers=0, seconds=0.3) > 1
    cfg.train_dataloader.sampler.type = 'DefaultSampler'  # ends after 16 pictures
    assert time_loader(cfg, workers=0, seconds=0.3) > 1


def test_a_batch_that_is_not_full_counts_as_many_pictures_as_it_has(cfg, monkeypatch):
    batches = [dict(inputs=[0] * count) for count in (4, 4, 1)]
    monkeypatch.setattr(loading_speed, '_build_loader', lambda *_: batches)
    monkeypatch.setattr(loading_speed, '_during', lambda _: range(3 * 5))
    clock = iter([0.0, 1.0])
    monkeypatch.setattr(loading_speed.time, 'perf_counter', lambda: next(clock))
    assert time_loader(cfg, workers=0) == 5 * (4 + 4 + 1)


def test_the_network_takes_steps_of_the_asked_size_and_logs_nothing(cfg, monkeypatch):
    from mmpretrain.models import ImageClassifier

    sizes = []
    loss = ImageClassifier.loss

    def note(self, inputs, data_samples):
        sizes.append(len(inputs))
        return loss(self, inputs, data_samples)

    monkeypatch.setattr(ImageClassifier, 'loss', note)
    # Of such settings mmengine logs a line for each parameter.
    cfg.optim_wrapper.optimizer.weight_decay = 1e-4
    cfg.optim_wrapper.paramwise_cfg = dict(norm_decay_mult=0.0)
    logged = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'callHandlers', logged.append)
    assert time_training(cfg, seconds=0.3, batch_size=4) > 1
    assert set(sizes) == {4} and len(sizes) > 1
    assert not [record.msg for record in logged if 'paramwise' in record.msg]


def test_pictures_that_are_not_there_are_told_and_none_is_opened(
    tmp_path,
    own_shapes,  # noqa: F811
    monkeypatch,
):
    cfg = Config.fromfile(write_config(tmp_path, 'detection', own_shapes))
    check_loader(cfg)
    picture = min((own_shapes / 'coco' / 'train2017').iterdir())
    picture.unlink()
    opened = []
    monkeypatch.setattr('mmghost.checks.images.image_fault', opened.append)
    with pytest.raises(UserError, match=f'1 of 16 pictures .*{picture.name}'):
        check_loader(cfg)
    assert not opened
    with pytest.raises(UserError, match='has no test_loader'):
        check_loader(cfg, 'test_loader')


def test_the_shortest_time_gives_figures_and_none_is_refused(cfg):
    for measure in (time_steps, time_training):
        assert measure(cfg, seconds=1e-9)
        with pytest.raises(UserError, match='0 seconds'):
            measure(cfg, seconds=0)
    assert time_loader(cfg, 0, seconds=1e-9) > 0
    with pytest.raises(UserError, match='-1 seconds'):
        time_loader(cfg, 0, seconds=-1)


def test_what_cannot_be_built_is_told_in_plain_words(cfg):
    with pytest.raises(UserError, match='num_workers'):
        time_loader(cfg, workers=-1)
    cfg.train_dataloader.dataset.pipeline[1].scala = 64
    with pytest.raises(UserError, match='did you mean scale'):
        time_steps(cfg)
    with pytest.raises(UserError, match='did you mean scale'):
        time_loader(cfg, workers=0)
