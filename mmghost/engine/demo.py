"""The demo: data, training, evaluation and pictures of a small detector, in one go."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import mmcv
import numpy as np

from ..analysis import draw_curves, read_curves
from ..datasets.shapes import make_shapes
from ..errors import UserError
from .launch import load_config, prepare_train, run_train
from .predict import Predictor

CONFIG = 'configs/detection/retinanet_ghostnetv2-1.0_shapes.py'
PICTURES = 12
SIDE = 256  # px; twice what the network sees, so that labels can be read
SCORE = 0.5  # least score of a box in the pictures


@dataclass(frozen=True)
class DemoResult:
    """Where the demo's output is, and how well the detector does.

    Attributes:
        config: The config as it was trained, with the paths of this data set.
        checkpoint: The checkpoint with the best AP.
        data: The generated data set.
        pictures: Predictions on unseen pictures.
        sheet: The same on one sheet.
        curves: Loss and AP over the training.
        box_ap: COCO's AP (IoU 0.50:0.95) on the 100 unseen pictures.
        box_ap50: COCO's AP at IoU 0.50.
        seconds: What each part took.
    """

    config: Path
    checkpoint: Path
    data: Path
    pictures: Path
    sheet: Path
    curves: Path
    box_ap: float
    box_ap50: float
    seconds: dict[str, float]


def run_demo(
    root: Path, out: Path, seed: int = 0, cfg_options: dict | None = None
) -> DemoResult:
    """Make Shapes, train the Shapes RetinaNet, evaluate it and draw what it found.

    Args:
        root: Where ``configs`` is.
        out: Folder for everything that is made. A data set that is there stays.
        seed: Seed of the training.
        cfg_options: Further overrides of the config.

    Returns:
        What was made.

    Raises:
        UserError: If something must be mended first.
        KeyboardInterrupt: When stopped; with how to go on, if the state was saved.
    """
    seconds, start = {}, time.monotonic()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name] = time.monotonic() - start
        start = time.monotonic()

    config = root / CONFIG
    data = out / 'data'
    classes = load_config(str(config)).metainfo.classes
    make_shapes(data, classes=list(classes), only='coco', workers=os.cpu_count() or 1)
    lap('data')

    coco = f'{data / "coco"}/'
    options = {f'{split}_dataloader.dataset.data_root': coco for split in SPLITS}
    annotations = f'{coco}annotations/instances_val2017.json'
    options.update({f'{split}_evaluator.ann_file': annotations for split in SPLITS[1:]})
    options['randomness.seed'] = seed
    options.update(cfg_options or {})
    cfg = load_config(str(config), options, str(out / 'training'))
    try:
        run_train(prepare_train(cfg))
    except KeyboardInterrupt as stopped:
        if not str(stopped):
            raise
        raise KeyboardInterrupt(
            f'{stopped}\n--resume belongs to python tools/train.py '
            f'{Path(cfg.work_dir) / config.name}; the demo itself begins anew'
        ) from None
    lap('training and evaluation')

    curves = read_curves(cfg.work_dir)
    aps = [value for _, value in curves.metrics['coco/bbox_mAP']]
    best = int(np.argmax(aps))
    checkpoints = sorted(
        Path(cfg.work_dir).glob('best_coco_bbox_mAP_epoch_*.pth'), key=os.path.getmtime
    )
    if not checkpoints:
        raise UserError(
            f'{cfg.work_dir} holds no best_coco_bbox_mAP_epoch_*.pth: the training '
            'ended without a validation'
        )
    draw_curves(
        curves,
        out / 'curves.png',
        {'coco/bbox_mAP': 'box AP 0.50:0.95', 'coco/bbox_mAP_50': 'box AP 0.50'},
    )
    predictor = Predictor(cfg, str(checkpoints[-1]))
    unseen = sorted((data / 'coco' / 'val2017').iterdir())[:PICTURES]
    drawn = [out / 'pictures' / f'{picture.stem}.png' for picture in unseen]
    for picture, target in zip(unseen, drawn):
        predictor.draw(str(picture), str(target), SCORE)
    draw_sheet(drawn, out / 'predictions.png')
    lap('pictures')
    return DemoResult(
        config=Path(cfg.work_dir) / config.name,  # mmengine's dump
        checkpoint=checkpoints[-1],
        data=data,
        pictures=out / 'pictures',
        sheet=out / 'predictions.png',
        curves=out / 'curves.png',
        box_ap=aps[best],
        box_ap50=curves.metrics['coco/bbox_mAP_50'][best][1],
        seconds=seconds,
    )


SPLITS = ('train', 'val', 'test')


def draw_sheet(
    pictures: list[Path], out: Path, columns: int = 4, side: int = 288
) -> None:
    """Draw pictures side by side, each within ``side`` x ``side`` px."""
    tiles = []
    for path in pictures:
        image = mmcv.imrescale(mmcv.imread(str(path)), (side, side))
        height, width = image.shape[:2]
        tiles.append(np.full((side + 4, side + 4, 3), 255, dtype=np.uint8))
        tiles[-1][2 : 2 + height, 2 : 2 + width] = image
    while len(tiles) % columns:
        tiles.append(np.full_like(tiles[0], 255))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    mmcv.imwrite(np.vstack(rows), str(out))
