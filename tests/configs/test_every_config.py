"""Every config trains a step on generated data, and what is exported agrees with it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, DefaultScope

from mmghost.datasets.shapes import make_shapes
from tests.configs.names import CONFIGS, LONG, data_of

# One of each toolbox and head. The others are wider or dilated, or have other data.
QUICK = {
    'detection/retinanet_ghostnetv2-1.0_shapes.py',
    'detection/yolov3_ghostnetv1-1.1_8xb24-320-300e_coco.py',
    'segmentation/ghostnetv2-1.0-d16_deeplabv3plus_nuclei-semseg-128x128.py',
    'classification/ghostnetv2-1.0_8xb128_in1k.py',
}
MARKED = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in LONG]


@pytest.fixture(scope='module')
def shapes(tmp_path_factory) -> Path:
    """Four images of one class, as COCO, ADE20K and folders."""
    root = tmp_path_factory.mktemp('shapes')
    make_shapes(root, train=4, val=1, size=200, classes=['circle'], progress=False)
    return root


def use(dataset: dict, shapes: Path) -> None:
    """Point a dataset at the generated images; its pipeline stays."""
    kind = dataset['type'].split('.')[-1]
    if kind == 'CocoDataset':
        dataset.update(
            data_root=f'{shapes}/coco/',
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017/'),
            metainfo=dict(classes=('circle',)),
        )
    elif kind in ('ImageNet', 'CustomDataset'):
        dataset.update(data_root=f'{shapes}/imagenet', data_prefix='train')
    else:
        dataset.update(
            data_root=f'{shapes}/ade/ADEChallengeData2016',
            data_prefix=dict(
                img_path='images/training', seg_map_path='annotations/training'
            ),
        )
        if kind == 'CityscapesDataset':
            dataset.update(img_suffix='.jpg', seg_map_suffix='.png')


def shrink(steps: list | dict | tuple, divisor: int = 4) -> None:
    """Divide the sizes of a pipeline of large images, so that a CPU can train on it."""
    for step in steps if isinstance(steps, list | tuple) else [steps]:
        for key, value in step.items():
            if key == 'transforms':
                for branch in value:
                    shrink(branch, divisor)
            elif key in ('scale', 'crop_size', 'img_scale', 'size'):
                step[key] = tuple(side // divisor for side in value)


def build(cfg: Config) -> nn.Module:
    """Build the model of a config as the runner does, with random weights."""
    if 'init_cfg' in cfg.model.get('backbone', {}):
        cfg.model.backbone.init_cfg = None
    preprocessor = cfg.get('data_preprocessor')
    torch.manual_seed(0)
    return MODELS.build({'data_preprocessor': preprocessor, **cfg.model})


def train_a_step(cfg: Config, model: nn.Module, shapes: Path) -> None:
    """Take two images through the pipeline, the loss and the optimizer of a config."""
    dataset = data_of(cfg.train_dataloader)
    use(dataset, shapes)
    sizes = [np.max(s['scale']) for s in dataset['pipeline'] if 'scale' in s]
    if max(sizes, default=0) > 500:
        shrink(dataset['pipeline'])
        if cfg.model.data_preprocessor.get('size'):  # the crop of a segmentor
            model.data_preprocessor.size = tuple(
                side // 4 for side in cfg.model.data_preprocessor.size
            )
    images = DATASETS.build(dataset)
    images = [images[index] for index in (0, 1)]
    collate = default_collate if cfg.default_scope == 'mmpretrain' else pseudo_collate
    batch = model.data_preprocessor(collate(images), training=True)
    settings = dict(cfg.optim_wrapper)
    settings.pop('accumulative_counts', None)
    wrapper = build_optim_wrapper(model.train(), settings)
    loss, _ = model.parse_losses(model(**batch, mode='loss'))
    assert torch.isfinite(loss)
    before = [p.detach().clone() for p in model.parameters()]
    wrapper.update_params(loss)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    moved = {
        name
        for (name, p), old in zip(model.named_parameters(), before)
        if not torch.equal(p, old)
    }
    assert moved <= trained
    # Where a gradient is 0 by chance (a dead ReLU, a level without an object) and there
    # is no weight decay, a parameter stays.
    assert len(moved) > 0.5 * len(trained)


@pytest.mark.parametrize('name', MARKED)
def test_every_config_trains_a_step_and_its_export_agrees(name, shapes, tmp_path, call):
    path = CONFIGS / name
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = build(cfg)
        if 'train_dataloader' in cfg:
            train_a_step(cfg, model, shapes)
    checkpoint, out = tmp_path / 'a.pth', tmp_path / 'a.onnx'
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    command = [path, checkpoint, '--out', out]
    if name.startswith('segmentation'):
        command += ['--cfg-options', 'model.test_cfg.mode=whole']
    if name.startswith('detection') and 'rcnn' not in name:
        # Untrained detectors find nothing: all priors are compared, with odd maps.
        command += ['--raw', '--size', '224', '320']
    elif name in QUICK:  # is checked at this size only; the others at several
        command += ['--fixed', '--size', '320', '320']
    # It compares the file with the toolbox, and fails where they disagree.
    status, text = call('deployment/export_onnx.py', *command)
    assert (status, out.is_file()) == (0, True), text
