"""The benchmark of pipelines times the steps, the loader and the network of a config."""

import time

import pytest
from mmengine.config import Config

from mmghost.analysis.loading_speed import time_loader, time_steps, time_training
from tests.engine.conftest import no_trace_of_other_runners, shapes  # noqa: F401
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


def test_the_network_takes_steps_of_the_asked_size(cfg, monkeypatch):
    from mmpretrain.models import ImageClassifier

    sizes = []
    loss = ImageClassifier.loss

    def note(self, inputs, data_samples):
        sizes.append(len(inputs))
        return loss(self, inputs, data_samples)

    monkeypatch.setattr(ImageClassifier, 'loss', note)
    assert time_training(cfg, seconds=0.3, batch_size=4) > 1
    assert set(sizes) == {4} and len(sizes) > 1
