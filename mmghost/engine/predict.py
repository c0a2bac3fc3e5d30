"""Predictions of a trained model and images of them, for the three toolboxes alike."""

import os
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmcv
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.device import get_device
from mmengine.registry import VISUALIZERS, init_default_scope

from ..checks import build_datasets
from ..checks.images import SUFFIXES, image_fault, list_images
from ..checks.problems import near_file
from ..checks.toolbox import toolbox_of
from ..errors import UserError
from ..weights import adapt_checkpoint
from .building import build_model
from .checkpoints import check_fit, is_deployed, read_checkpoint
from .launch import explained, get_test_dataset

VISUALIZER = dict(
    mmdet='DetLocalVisualizer', mmseg='SegLocalVisualizer', mmpretrain='UniversalVisualizer'
)  # fmt: skip


def find_images(path: str) -> list[str]:
    """Return an image, or those below a folder, and check that they can be read.

    Raises:
        UserError: If there are none, or one is broken.
    """
    if os.path.isdir(path):
        found = list_images(path, SUFFIXES)
        if not found:
            raise UserError(f'{path} holds no images ({", ".join(SUFFIXES)})')
    elif os.path.isfile(path):
        found = [path]
    else:
        raise UserError(f'{path}: there is no such image or folder{near_file(path)}')
    for name in found:
        if fault := image_fault(name):
            raise UserError(f'{name} {fault}')
    return found


def output_paths(image: str, images: Sequence[str], out: str) -> list[str]:
    """Return where the drawn images go.

    Args:
        image: As given by the user: an image or a folder.
        images: What :func:`find_images` found.
        out: An image to write, or a folder (made if need be), whose images get the names
            of the originals with the suffix .png.

    Raises:
        UserError: If several images would be written into one file.
    """
    is_folder = os.path.isdir(out) or out.endswith(os.sep)
    suffix = Path(out).suffix.lower()
    if not os.path.isdir(image) and not is_folder:
        if suffix and suffix not in SUFFIXES:
            raise UserError(f'--out {out}: images end in {", ".join(SUFFIXES)}')
        return [out if suffix else f'{out}.png']
    if not is_folder and (suffix in SUFFIXES or os.path.isfile(out)):
        raise UserError(f'--out {out}: name a folder for the images of {image}')
    start = image if os.path.isdir(image) else os.path.dirname(image)
    names = [Path(os.path.relpath(path, start or '.')) for path in images]
    stems = [name.with_suffix('') for name in names]  # a.jpg may lie beside a.png
    return [
        os.path.join(out, f'{stem if stems.count(stem) == 1 else name}.png')
        for name, stem in zip(names, stems)
    ]


class Predictor:
    """A trained model of one of the toolboxes, with its visualizer.

    Args:
        cfg: Its config.
        checkpoint: Its weights: a file or a URL of any origin that mmghost reads. Every
            tensor must fit.
        device: Where it runs; default: a GPU if there is one.

    Raises:
        UserError: If the checkpoint or the config must be fixed first.
    """

    def __init__(self, cfg: Config, checkpoint: str, device: str | None = None) -> None:
        self.scope = toolbox_of(cfg).scope
        self.cfg = cfg = deepcopy(cfg)
        # mmseg looks for the pipeline here, and mmdet in the loader alone.
        alone = 'test_pipeline' in cfg and self.scope != 'mmdet'
        if cfg.get('test_dataloader') or not alone:
            cfg.test_pipeline = get_test_dataset(cfg).pipeline
        init_default_scope(self.scope)
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
        kind = (cfg.get('visualizer') or {}).get('type', VISUALIZER[self.scope])
        self.visualizer = VISUALIZERS.build(dict(type=kind, name=f'mmghost-{id(self)}'))
        self.visualizer.dataset_meta = meta
        model.dataset_meta = model._dataset_meta = meta
        model.cfg = model._config = cfg
        try:
            self.model = model.to(torch.device(device or get_device())).eval()
        except (RuntimeError, AssertionError) as error:
            raise UserError(f'--device {device}: {error}') from error
        self.classes = meta.get('classes')

    def predict(self, image: str) -> Any:
        """Return the toolbox's data sample for an image file."""
        if self.scope == 'mmdet':
            from mmdet.apis import inference_detector

            return inference_detector(self.model, image)
        if self.scope == 'mmseg':
            from mmseg.apis import inference_model

            return inference_model(self.model, image)
        # mmpretrain's inferencer reads images in another way than its pipelines, and
        # turns them by their EXIF tag.
        pipeline = Compose(self.cfg.test_pipeline)
        with torch.no_grad():
            batch = default_collate([pipeline(dict(img_path=image))])
            return self.model.test_step(batch)[0]

    def draw(self, image: str, out: str, score_thr: float = 0.3) -> str:
        """Draw the prediction on an image.

        Args:
            image: The file.
            out: The image to write.
            score_thr: Lowest score of a box to draw.

        Returns:
            The prediction in a few words.
        """
        sample = self.predict(image).cpu()
        pixels = mmcv.imread(image, channel_order='rgb')
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        if self.scope == 'mmpretrain':
            self.visualizer.visualize_cls(
                pixels, sample, classes=self.classes, draw_gt=False, out_file=out
            )
            label = int(sample.pred_label.flatten()[0])
            name = self.classes[label] if self.classes else label
            return f'{name} ({float(sample.pred_score.max()):.2f})'
        extra = {'pred_score_thr': score_thr} if self.scope == 'mmdet' else {}
        with warnings.catch_warnings():
            # A box or its name may reach over the border: what is inside is drawn.
            warnings.filterwarnings('ignore', '.* is out of bounds')
            self.visualizer.add_datasample(
                Path(image).name, pixels, sample, draw_gt=False, out_file=out, **extra
            )
        if self.scope == 'mmdet':
            count = int((sample.pred_instances.scores >= score_thr).sum())
            return f'{count} objects of score >= {score_thr:g}'
        labels = sample.pred_sem_seg.data.unique().tolist()
        names = [self.classes[i] if self.classes else str(i) for i in labels]
        return 'classes ' + ', '.join(names)
