"""Pictures of predictions, for the three toolboxes alike."""

import glob
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
from mmengine.runner import CheckpointLoader, load_state_dict

from ..errors import UserError
from .building import build_model
from .checkpoints import check_file, check_fit, state_dict_of
from ..checks.annotations import near_file
from ..checks.images import SUFFIXES, list_images, image_fault
from ..checks.preflight import build_datasets
from .launch import in_plain_words, prepares_tests
from ..checks.toolbox import toolbox_of


def find_pictures(path: str) -> list[str]:
    """List a picture, or those below a folder, and check that they can be read.

    Raises:
        UserError: If there are none, or if one is no good.
    """
    if os.path.isdir(path):
        found = list_images(path, SUFFIXES)
        if not found:
            raise UserError(f'{path} holds no pictures ({", ".join(SUFFIXES)})')
    elif os.path.isfile(path):
        found = [path]
    else:
        raise UserError(f'{path}: there is no such picture or folder{near_file(path)}')
    for name in found:
        fault = image_fault(name)
        if fault:
            raise UserError(f'{name} {fault}')
    return found


def output_paths(image: str, pictures: Sequence[str], out: str) -> list[str]:
    """Say where the drawn pictures go.

    Args:
        image: What the person named: a picture or a folder.
        pictures: What :func:`find_pictures` found.
        out: A picture to write, or a folder (made if need be), which gets the names of
            the originals, with the suffix .png.

    Raises:
        UserError: If several pictures would be written into one file.
    """
    is_folder = os.path.isdir(out) or out.endswith(os.sep)
    if not os.path.isdir(image) and not is_folder:
        if not Path(out).suffix:
            out += '.png'
        if Path(out).suffix.lower() not in SUFFIXES:
            raise UserError(f'--out {out}: pictures end in {", ".join(SUFFIXES)}')
        return [out]
    if os.path.isfile(out):
        raise UserError(f'--out {out}: that is a file; a folder of pictures needs one')
    if not is_folder and Path(out).suffix.lower() in SUFFIXES:
        raise UserError(f'--out {out}: name a folder for those of {image}')
    start = image if os.path.isdir(image) else os.path.dirname(image)
    names = [Path(os.path.relpath(picture, start or '.')) for picture in pictures]
    # Two pictures may differ in their suffix only.
    stems = [name.with_suffix('') for name in names]
    return [
        os.path.join(
            out, name.with_suffix('.png') if stems.count(stem) == 1 else f'{name}.png'
        )
        for name, stem in zip(names, stems)
    ]


def shown_in(cfg: Config, show_dir: str) -> str | None:
    """Find the folder into which ``tools/test.py --show-dir`` has just drawn.

    Args:
        cfg: The config that was tested with.
        show_dir: What the person named.

    Returns:
        The folder; None where nothing was drawn.
    """
    # mmpretrain takes it as it is, mmdet puts it below WORK_DIR/TIME, and mmseg below it
    # what its visualizer keeps.
    pattern = {
        'mmpretrain': glob.escape(show_dir),
        'mmdet': os.path.join(glob.escape(cfg.work_dir), '*', glob.escape(show_dir)),
        'mmseg': os.path.join(glob.escape(show_dir), 'vis_data', 'vis_image'),
    }[toolbox_of(cfg).scope]
    return max(glob.glob(pattern), key=os.path.getmtime, default=None)


class Predictor:
    """A trained model of one of the toolboxes, and how its predictions are drawn.

    Args:
        cfg: Its config.
        checkpoint: Its weights, a file or a URL; every tensor must fit, under whatever
            names tools/test.py takes.
        device: Where it runs; default: a GPU if there is one.

    Raises:
        UserError: If the checkpoint or the config must be mended first.
    """

    def __init__(self, cfg: Config, checkpoint: str, device: str | None = None) -> None:
        from ..weights.adapting import adapt_checkpoint  # which imports this package

        self.scope = toolbox_of(cfg).scope
        check_file(checkpoint)
        self.cfg = cfg = deepcopy(cfg)
        # mmseg looks for the pipeline here, and mmdet in the loader alone.
        alone = 'test_pipeline' in cfg and self.scope != 'mmdet'
        if cfg.get('test_dataloader') is not None or not alone:
            cfg.test_pipeline = prepares_tests(cfg).pipeline
        init_default_scope(self.scope)
        with in_plain_words(cfg):
            content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
            model = build_model(cfg)
            adapt_checkpoint(model, content, checkpoint)
            check_fit(model, content, checkpoint)
            load_state_dict(model, state_dict_of(content))
            meta = dict(content.get('meta', {}).get('dataset_meta') or {})
            if not meta.get('classes'):
                datasets = build_datasets(cfg, 'test_dataloader')
                meta = dict(datasets[0][1].metainfo) if datasets else {}
            if isinstance(meta.get('palette'), list | tuple):  # colours must be tuples
                meta['palette'] = [tuple(colour) for colour in meta['palette']]
            self.visualizer = self._visualizer(meta)
            # mmpretrain's own inferencer reads pictures in its own way, and turns them
            # where the recipe does not.
            self._pipeline = None
            if self.scope == 'mmpretrain' and 'test_pipeline' in cfg:
                self._pipeline = Compose(cfg.test_pipeline)
        model.dataset_meta = model._dataset_meta = meta
        model.cfg = model._config = cfg
        try:
            self.model = model.to(torch.device(device or get_device())).eval()
        except (RuntimeError, AssertionError) as error:
            raise UserError(f'--device {device}: {error}') from None
        self.classes = meta.get('classes')

    def _visualizer(self, meta: dict[str, Any]) -> Any:
        cfg = dict(self.cfg.get('visualizer') or {})
        cfg = (
            {'type': cfg['type']}
            if 'type' in cfg
            else {
                'type': {
                    'mmdet': 'DetLocalVisualizer',
                    'mmseg': 'SegLocalVisualizer',
                    'mmpretrain': 'UniversalVisualizer',
                }[self.scope]
            }
        )
        visualizer = VISUALIZERS.build(dict(cfg, name=f'mmghost-{id(self)}'))
        visualizer.dataset_meta = meta
        return visualizer

    def predict(self, picture: str) -> Any:
        """Predict on one picture.

        Args:
            picture: The file.

        Returns:
            The toolbox's data sample.
        """
        if self.scope == 'mmdet':
            from mmdet.apis import inference_detector

            return inference_detector(self.model, picture)
        if self.scope == 'mmseg':
            from mmseg.apis import inference_model

            return inference_model(self.model, picture)
        if self._pipeline is None:
            raise UserError(
                f'{self.cfg.filename} has no test_dataloader: its pipeline says how a '
                'picture is prepared'
            )
        batch = default_collate([self._pipeline(dict(img_path=picture))])
        with torch.no_grad():
            return self.model.test_step(batch)[0]

    def draw(self, picture: str, out: str, score_thr: float = 0.3) -> str:
        """Draw the prediction on one picture.

        Args:
            picture: The file.
            out: The picture to write.
            score_thr: Least score of a box to be drawn.

        Returns:
            The prediction in a few words.
        """
        sample = self.predict(picture).cpu()
        image = mmcv.imread(picture, channel_order='rgb')
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        if self.scope == 'mmpretrain':
            self.visualizer.visualize_cls(
                image, sample, classes=self.classes, draw_gt=False, out_file=out
            )
            label = int(sample.pred_label.flatten()[0])
            name = self.classes[label] if self.classes else label
            return f'{name} ({float(sample.pred_score.max()):.2f})'
        extra = {'pred_score_thr': score_thr} if self.scope == 'mmdet' else {}
        with warnings.catch_warnings():
            # A box or its name may reach over the border: what is inside is drawn.
            warnings.filterwarnings('ignore', '.* is out of bounds')
            self.visualizer.add_datasample(
                Path(picture).name, image, sample, draw_gt=False, out_file=out, **extra
            )
        if self.scope == 'mmdet':
            count = int((sample.pred_instances.scores >= score_thr).sum())
            return f'{count} objects of score >= {score_thr:g}'
        labels = sample.pred_sem_seg.data.unique().tolist()
        names = [self.classes[i] if self.classes else str(i) for i in labels]
        return 'classes ' + ', '.join(names)
