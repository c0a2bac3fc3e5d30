"""Draw what a trained detector, segmentor or classifier sees in pictures.

Examples:
    python tools/image_demo.py picture.jpg CONFIG CHECKPOINT --out seen.png
    python tools/image_demo.py folder/ CONFIG CHECKPOINT --out seen/ --score-thr 0.5
"""

import argparse

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.engine.predict import Predictor, find_pictures, output_paths
from mmghost.errors import UserError, run_door


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('image', help='a picture, or a folder of pictures')
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument(
        '--out', required=True, help='the picture to write; a folder for a folder'
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='detection: draw boxes of at least this score',
    )
    parser.add_argument(
        '--device', help='cpu, cuda, cuda:1 ...; default: a GPU if there is one'
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Draw as the command line says."""
    args = parse_args()
    if not 0 <= args.score_thr <= 1:
        raise UserError(f'--score-thr {args.score_thr:g}: scores go from 0 to 1')
    pictures = find_pictures(args.image)
    outputs = output_paths(args.image, pictures, args.out)
    cfg = load_config(args.config, args.cfg_options)
    predictor = Predictor(cfg, args.checkpoint, args.device)
    for picture, output in zip(pictures, outputs):
        summary = predictor.draw(picture, output, args.score_thr)
        print(f'{picture}: {summary} -> {output}')


if __name__ == '__main__':
    run_door(main)
