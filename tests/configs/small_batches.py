"""Models of configs on a picture or two, small enough for a test."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def build(name: str) -> tuple[Config, torch.nn.Module]:
    """Build the model of a config (a path below configs/), without its weights."""
    cfg = Config.fromfile(CONFIGS / name)
    if 'backbone' in cfg.model:
        cfg.model.backbone.init_cfg = None
    # The classification bases keep the preprocessor beside the model, as mmpretrain.
    if cfg.get('data_preprocessor') and not cfg.model.get('data_preprocessor'):
        cfg.model.data_preprocessor = cfg.data_preprocessor
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return cfg, MODELS.build(cfg.model)


def losses_on_small_pictures(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """Compute the training loss of a config's model on two small pictures.

    Returns:
        The model in training mode, and the sum of its losses.
    """
    cfg, model = build(name)
    model.train()
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        batch = {
            'mmdet': _detection,
            'mmseg': _segmentation,
            'mmpretrain': _classification,
        }[cfg.default_scope](cfg)
        losses = model.loss(*batch)
        loss, _ = model.parse_losses(losses)
    return model, loss


def _detection(cfg: Config) -> tuple:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    head = cfg.model.get('bbox_head') or cfg.model.rpn_head
    size = 320 if head.type == 'SSDHead' else 128
    samples = []
    for _ in range(2):
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(size, size),
                pad_shape=(size, size),
                batch_input_shape=(size, size),
            )
        )
        # One object for each of the levels that anchors lie on.
        boxes = torch.tensor([[10.0, 10, 34, 34], [20, 20, 80, 90], [2, 2, 125, 120]])
        sample.gt_instances = InstanceData(
            bboxes=boxes, labels=torch.zeros(3, dtype=torch.long)
        )
        if cfg.model.type == 'MaskRCNN':
            masks = torch.zeros(3, size, size, dtype=torch.uint8)
            for mask, box in zip(masks, boxes.int().tolist()):
                mask[box[1] : box[3], box[0] : box[2]] = 1
            sample.gt_instances.masks = BitmapMasks(masks.numpy(), size, size)
        samples.append(sample)
    return torch.randn(2, 3, size, size), samples


def _segmentation(cfg: Config) -> tuple:
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(64, 64), pad_shape=(64, 64)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 2, (1, 64, 64)))
        samples.append(sample)
    return torch.randn(2, 3, 64, 64), samples


def _classification(cfg: Config) -> tuple:
    from mmpretrain.structures import DataSample

    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    return torch.randn(2, 3, 64, 64), samples
