"""Train a small GhostNetV2 detector from scratch and show what it learned.

Makes the Shapes dataset, trains a light RetinaNet (on a GPU if there is one), evaluates
it with COCO's metric and draws its predictions and its curves.

Examples:
    python tools/demo.py
    python tools/demo.py --out somewhere/else --seed 1
    python tools/demo.py --cfg-options train_cfg.max_epochs=1   # a quick look
"""

import argparse
import json
import os
import shlex
import time
from pathlib import Path

import mmcv
import numpy as np

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.datasets.shapes import make_shapes
from mmghost.engine.launch import load_config, prepare_train, run_train
from mmghost.engine.options import add_cfg_options
from mmghost.engine.predict import Predictor
from mmghost.errors import UserError, cli_main

CONFIG = 'configs/detection/retinanet_ghostnetv2-1.0_shapes.py'
METRICS = {'coco/bbox_mAP': 'box AP (0.50:0.95)', 'coco/bbox_mAP_50': 'box AP (0.50)'}
IMAGES = 12  # drawn of the validation images
SCORE = 0.5  # lowest score of a box in them


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--out', type=Path, default=Path('demo_output'), help='folder for the results'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the training')
    add_cfg_options(parser)
    return parser.parse_args()


def read_log(work_dir: str) -> tuple[list[dict], list[dict]]:
    """Return what the last training logged: losses and validations."""
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    entries = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    validations = [entry for entry in entries if 'coco/bbox_mAP' in entry]
    if not validations:
        raise UserError(f'{work_dir}: the training ended without a validation')
    return [entry for entry in entries if 'loss' in entry], validations


def draw_curves(losses: list[dict], validations: list[dict], out: Path) -> None:
    """Draw the loss over the iterations and the AP over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout='constrained')
    left, right = figure.subplots(1, 2)
    left.plot([e['step'] for e in losses], [e['loss'] for e in losses])
    left.set(title='training loss', xlabel='iteration', ylim=(0, None))
    for name, label in METRICS.items():
        points = [(e['step'], e[name]) for e in validations]
        right.plot(*zip(*points), marker='o', label=label)
    right.set(title='validation', xlabel='epoch', ylim=(0, 1))
    right.legend(loc='lower right')
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(out, dpi=120)


def draw_sheet(
    images: list[Path], out: Path, columns: int = 4, side: int = 288
) -> None:
    """Draw images side by side, each within ``side`` x ``side`` px."""
    tiles = [mmcv.imrescale(mmcv.imread(str(path)), (side, side)) for path in images]
    shape = (side + 4, side + 4)
    tiles = [mmcv.impad(tile, shape=shape, pad_val=255) for tile in tiles]
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    mmcv.imwrite(np.vstack(rows), str(out))


def main() -> None:
    """Run the demo and say where everything is."""
    args = parse_args()
    start = time.monotonic()
    config = Path(__file__).resolve().parents[1] / CONFIG
    coco = args.out / 'data' / 'coco'
    classes = list(load_config(str(config)).metainfo.classes)
    workers = os.cpu_count() or 1
    data = args.out / 'data'
    make_shapes(data, classes=classes, only='coco', workers=workers, overwrite=True)

    options = {'randomness.seed': args.seed}
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.dataset.data_root'] = f'{coco}/'
    for split in ('val', 'test'):
        annotations = f'{coco}/annotations/instances_val2017.json'
        options[f'{split}_evaluator.ann_file'] = annotations
    options.update(args.cfg_options or {})
    work_dir = str(args.out / 'training')
    cfg = load_config(str(config), options, work_dir)
    run_train(prepare_train(cfg))

    losses, validations = read_log(work_dir)
    best = max(validations, key=lambda entry: entry['coco/bbox_mAP'])
    (checkpoint,) = Path(work_dir).glob('best_coco_bbox_mAP_epoch_*.pth')
    draw_curves(losses, validations, args.out / 'curves.png')
    predictor = Predictor(cfg, str(checkpoint))
    images = sorted((coco / 'val2017').iterdir())[:IMAGES]
    drawn = [args.out / 'images' / f'{image.stem}.png' for image in images]
    for image, target in zip(images, drawn):
        sample = predictor.predict(str(image))
        mmcv.imwrite(predictor.draw(str(image), sample, SCORE)[..., ::-1], str(target))
    draw_sheet(drawn, args.out / 'predictions.png')

    print('\nmmghost demo: a RetinaNet with GhostNetV2, trained from scratch')
    lines = {label: f'{best[name]:.3f}' for name, label in METRICS.items()}
    lines['box AP (0.50:0.95)'] += ' on 100 unseen images'
    lines['time'] = f'{time.monotonic() - start:.0f} s'
    lines['predictions'] = args.out / 'predictions.png'
    lines['one by one'] = args.out / 'images'
    lines['loss and AP'] = args.out / 'curves.png'
    lines['checkpoint'] = checkpoint
    lines['data'] = args.out / 'data'
    lines['config'] = written = Path(work_dir) / config.name  # by mmengine
    for name, value in lines.items():
        print(f'  {name:<20}{value}')
    print('\nTry it on an image of your own, evaluate it again, export it:')
    given = shlex.join([str(written), str(checkpoint)])
    print(f'  python tools/image_demo.py IMAGE {given} --out found.png')
    print(f'  python tools/test.py {given}')
    print(f'  python tools/deployment/export_onnx.py {given} --out model.onnx')


if __name__ == '__main__':
    cli_main(main, 'interrupted; the demo begins anew')
