"""Draw the predictions of a trained detector, segmentor or classifier on images.

Examples:
    python tools/image_demo.py image.jpg CONFIG CHECKPOINT --out found.png
    python tools/image_demo.py folder/ CONFIG CHECKPOINT --out found/ --score-thr 0.5
"""

import argparse

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.engine.predict import Predictor, find_images, output_paths
from mmghost.errors import UserError, cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('image', help='an image, or a folder of images')
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument(
        '--out', required=True, help='the image to write; a folder for a folder'
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
    images = find_images(args.image)
    outputs = output_paths(args.image, images, args.out)
    cfg = load_config(args.config, args.cfg_options)
    predictor = Predictor(cfg, args.checkpoint, args.device)
    for image, output in zip(images, outputs):
        summary = predictor.draw(image, output, args.score_thr)
        print(f'{image}: {summary} -> {output}')


if __name__ == '__main__':
    cli_main(main)
