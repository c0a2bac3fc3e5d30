"""The messages by which docs/troubleshooting.md is searched are those that are printed."""

import re

import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import MODELS

from mmghost.models import GhostNetV2
from tests.docs.pages import read

PAGE = 'docs/troubleshooting.md'


def listed(error: object) -> bool:
    """Whether a heading of the page is found in an error."""
    headings = re.findall(r'^### `(.+?)`', read(PAGE), re.M)
    return any(heading in str(error) for heading in headings)


def test_a_backbone_that_no_registry_knows():
    from mmdet.registry import MODELS as registry

    with pytest.raises(KeyError) as error:
        registry.build(dict(type='GhostNetV9'))
    # The registry that gives up is that of the scope that was set last.
    message = re.sub(r'\w+::model', 'mmdet::model', str(error.value))
    assert listed(message.replace('V9', 'V2'))


def test_pretrained_handed_to_the_backbone():
    with pytest.raises(TypeError) as error:
        MODELS.build(dict(type='GhostNetV2', pretrained='open-mmlab://resnet50_v1c'))
    assert listed(error.value)


def test_batch_norm_of_a_single_value():
    with pytest.raises(ValueError) as error:
        nn.BatchNorm2d(4)(torch.rand(1, 4, 1, 1))
    assert listed(error.value)


def test_sync_bn_on_the_cpu(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / 'store'), 1)
    torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    try:
        with pytest.raises(ValueError) as error:
            nn.SyncBatchNorm(4)(torch.rand(2, 4, 2, 2))
    finally:
        torch.distributed.destroy_process_group()
    assert listed(error.value)


def test_train_of_other_backbones_returns_nothing():
    from mmdet.models.backbones import MobileNetV2

    with pytest.raises(AttributeError) as error:
        MobileNetV2().train().cpu()
    assert listed(error.value)
    assert GhostNetV2(widen_factor=0.25).train().cpu().training


def test_a_base_in_mmghosts_scope_cannot_be_found(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("_base_ = 'mmghost::detection/retinanet_ghostnetv2.py'\n")
    with pytest.raises(AssertionError) as error:
        Config.fromfile(path)
    assert listed(error.value)
