"""Predictions of a trained model and images of them, for the three toolboxes alike."""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import TRANSFORMS, VISUALIZERS, init_default_scope
from mmengine.utils import get_object_from_string
from torch import nn

from ..checks import build_datasets
from ..checks.toolbox import scope_of
from ..errors import UserError
from ..weights import adapt_checkpoint
from .building import build_model
from .checkpoints import check_fit, is_deployed, read_checkpoint
from .fonts import use_font_for
from .launch import explained, get_test_dataset

# The default visualizer and the inferencer of each toolbox.
_NAMES = {
    'mmdet': ('DetLocalVisualizer', 'DetInferencer'),
    'mmseg': ('SegLocalVisualizer', 'MMSegInferencer'),
    'mmpretrain': ('UniversalVisualizer', 'ImageClassificationInferencer'),
}


def _inferencer(scope: str, cfg: Config, model: nn.Module) -> Any:
    """Return the toolbox's own inferencer with a model that is built and checked."""

    class Inferencer(get_object_from_string(f'{scope}.apis.{_NAMES[scope][1]}')):
        def _init_model(
            self, cfg: Config, weights: nn.Module, device: Any
        ) -> nn.Module:
            return weights

        def _init_collate(self, cfg: Config) -> Any:
            return pseudo_collate  # mmengine warns before it takes it

    return Inferencer(*[model] if scope == 'mmpretrain' else [cfg, model])


class Predictor:
    """A trained model of one of the toolboxes, behind the toolbox's own inferencer.

    Args:
        cfg: Its config.
        checkpoint: Its weights: a file or a URL of any origin that mmghost reads. Every
            tensor must fit.
        device: Where it runs; default: a GPU if there is one.

    Raises:
        UserError: If the checkpoint or the config must be fixed first.
    """

    def __init__(self, cfg: Config, checkpoint: str, device: str | None = None) -> None:
        self.scope = scope_of(cfg)
        self.cfg = cfg = deepcopy(cfg)
        init_default_scope(self.scope)
        cfg.test_dataloader.dataset = dataset = get_test_dataset(cfg)
        # Of its own, without the backends of a training, such as TensorBoard.
        own = dict(name=f'mmghost-{id(self)}', vis_backends=None)
        kind = dict(type=_NAMES[self.scope][0])
        cfg.visualizer = {**kind, **(cfg.get('visualizer') or {}), **own}
        with explained(cfg):
            content = read_checkpoint(checkpoint)
            if is_deployed(content):
                cfg.model.backbone.deploy = True
            model = build_model(cfg)
            adapt_checkpoint(model, content, checkpoint)
            check_fit(model, content, checkpoint)
        meta = dict((content.get('meta') or {}).get('dataset_meta') or {})
        if not meta.get('classes'):
            datasets = build_datasets(cfg, 'test_dataloader')
            meta = dict(datasets[0][1].metainfo) if datasets else {}
        if isinstance(meta.get('palette'), list | tuple):  # colors must be tuples
            meta['palette'] = [tuple(color) for color in meta['palette']]
        self.classes = meta.get('classes')
        use_font_for(self.classes or ())
        model.dataset_meta = model._dataset_meta = meta
        model.cfg = model._config = cfg
        try:
            self.model = model.to(torch.device(device or get_device())).eval()
        except (RuntimeError, AssertionError) as error:
            raise UserError(f'--device {device}: {error}') from error
        self._load = TRANSFORMS.build(dataset.pipeline[0])
        self._inferencer = _inferencer(self.scope, cfg, model)
        self.visualizer = self._inferencer.visualizer or VISUALIZERS.build(
            cfg.visualizer
        )
        self.visualizer.dataset_meta = meta

    def read(self, path: str) -> np.ndarray:
        """Return an image as the config's pipeline loads it: BGR, (H, W, 3)."""
        return self._load(dict(img_path=path))['img']

    def predict(self, image: str | np.ndarray) -> Any:
        """Return the toolbox's data sample for an image: a file, or what `read` returns."""
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[str | np.ndarray]) -> list[Any]:
        """Return the data samples of images; those of one size are one batch."""
        frames = [self.read(i) if isinstance(i, str) else i for i in images]
        size = len(frames) if len({frame.shape for frame in frames}) == 1 else 1
        samples = []
        for batch in self._inferencer.preprocess(frames, batch_size=size):
            if self.scope == 'mmdet':
                _, batch = batch  # the images themselves, and what the model gets
            samples += self._inferencer.forward(batch)
        return [sample.cpu() for sample in samples]

    def draw(
        self, image: str | np.ndarray, sample: Any, score_thr: float
    ) -> np.ndarray:
        """Draw a prediction on its image.

        Args:
            image: The file, or a BGR image.
            sample: What was predicted.
            score_thr: Lowest score of a box to draw.

        Returns:
            An RGB image.
        """
        is_file = isinstance(image, str)
        pixels = (
            mmcv.imread(image, channel_order='rgb') if is_file else image[..., ::-1]
        )
        draw = self.visualizer
        if self.scope == 'mmpretrain':
            return draw.visualize_cls(pixels, sample, self.classes, draw_gt=False)
        with warnings.catch_warnings():
            # A box or its name may reach over the border: what is inside is drawn.
            warnings.filterwarnings('ignore', '.* is out of bounds')
            if self.scope == 'mmdet':
                extra = dict(draw_gt=False, pred_score_thr=score_thr)
                draw.add_datasample('', pixels, sample, **extra)
                return draw.get_image()
            # mmseg writes the names with OpenCV, which has ASCII letters alone.
            draw.add_datasample('', pixels, sample, draw_gt=False, with_labels=False)
            labels = sample.pred_sem_seg.data[0].long()
            for label in labels.unique().tolist() if self.classes else ():
                places = (labels == label).nonzero()
                place = places[len(places) // 2].flip(0)
                box = dict(facecolor='black', alpha=0.8, pad=0.7, edgecolor='none')
                draw.draw_texts(self.classes[label], place, colors='w', bboxes=box)
            return draw.get_image()
