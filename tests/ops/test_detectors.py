"""mmdet's own detectors train and predict on the stand-ins, on the CPU."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

mmdet = pytest.importorskip('mmdet', reason='needs mmdetection')


def small(config: object) -> object:
    """Shrink channels and class numbers, all through a configuration."""
    if isinstance(config, dict):
        return {key: small(value) for key, value in config.items()}
    if isinstance(config, list):
        return [small(value) for value in config]
    return {256: 16, 1024: 32, 80: 3}.get(config, config)


def detector(name: str) -> Config:
    """Read a model of mmdet's own configurations; give it a small head and GhostNet."""
    path = Path(mmdet.__file__).parent / '.mim/configs/_base_/models' / f'{name}.py'
    model = small(Config.fromfile(path).model.to_dict())
    model['backbone'] = dict(type='GhostNetV2')
    model['neck']['in_channels'] = [24, 40, 112, 160]
    return Config(model)


def samples() -> list:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    mask = torch.zeros(2, 128, 96, dtype=torch.uint8)
    mask[0, 20:60, 10:50] = 1
    mask[1, 70:120, 40:90] = 1
    size = dict(img_shape=(128, 96), ori_shape=(128, 96), pad_shape=(128, 96))
    sample = DetDataSample(metainfo=size | {'scale_factor': (1.0, 1.0)})
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 20, 50, 60], [40, 70, 90, 120]]),
        labels=torch.tensor([0, 2]),
        masks=BitmapMasks(mask.numpy(), 128, 96),
    )
    return [sample, sample.clone()]


@pytest.mark.parametrize('name', ['retinanet_r50_fpn', 'mask-rcnn_r50_fpn'])
def test_detector_learns_and_predicts(name):
    from mmdet.utils import register_all_modules

    register_all_modules()
    torch.manual_seed(0)
    config = detector(name)
    masks = 'mask' in name
    scoring = config.test_cfg.rcnn if masks else config.test_cfg
    scoring.update(score_thr=0.0, max_per_img=10)
    if masks:
        scoring.nms.type = 'soft_nms'
    model = MODELS.build(config)
    pictures = torch.randn(2, 3, 128, 96)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    history = []
    for _ in range(4):
        total, parts = model.parse_losses(model(pictures, samples(), mode='loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.9 * history[0], history
    assert ('loss_mask' in parts) == masks
    idle = [n for n, p in model.named_parameters() if p.grad is None]
    assert not idle, idle

    model.eval()
    with torch.no_grad():
        for result in model(pictures, samples(), mode='predict'):
            found = result.pred_instances
            assert 0 < len(found) <= 10 and found.bboxes.isfinite().all()
            assert not masks or found.masks.shape == (len(found), 128, 96)
