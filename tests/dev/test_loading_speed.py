"""The loading speed of a config is timed step by step, by loader and by network."""

import time

import pytest
from mmengine.config import Config

from dev.loading_speed import time_loader, time_steps, time_training
from tests.engine.toys import write_config


@pytest.fixture
def cfg(tmp_path, shapes) -> Config:
    return Config.fromfile(write_config(tmp_path, 'classification', shapes))


def test_every_step_is_timed_in_its_order(cfg, monkeypatch):
    from mmcv.transforms import LoadImageFromFile

    load = LoadImageFromFile.transform

    def slow(self, results):
        time.sleep(0.02)
        return load(self, results)

    monkeypatch.setattr(LoadImageFromFile, 'transform', slow)
    steps = time_steps(cfg, seconds=0.3)
    assert list(steps) == ['1 LoadImageFromFile', '2 Resize', '3 PackInputs']
    assert steps['1 LoadImageFromFile'] > 20 > steps['2 Resize'] > 0


def test_loader_and_network_go_on_past_the_end_of_an_epoch(cfg):
    cfg.train_dataloader.sampler.type = 'DefaultSampler'  # ends after 16 images
    assert time_loader(cfg, workers=0, seconds=0.3) > 1
    assert time_training(cfg, seconds=0.1, batch_size=4) > 1
