"""Show what DFC attention does with a picture.

For each stride the mean gate; with --query what the attention of that position draws on,
through the vertical and the horizontal kernel; with --grad-cam also which regions speak
for a class. All of it is this project's computation (docs/ablations.md): how the paper's
figure 6 was made is not published.

Examples:
    python tools/visualization/vis_dfc.py CONFIG CHECKPOINT dog.jpg --out seen.png
    python tools/visualization/vis_dfc.py CONFIG CHECKPOINT dog.jpg --out seen.png \
        --query 320 200 --grad-cam
    python tools/visualization/vis_dfc.py CONFIG CHECKPOINT dog.jpg --out seen.png \
        --grad-cam cat
"""

import argparse

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis.attention_maps import (
    query_fraction,
    read_picture,
    stage_maps,
    to_input,
    undilate,
)
from mmghost.analysis.attention_pictures import draw_attention
from mmghost.analysis.grad_cam import class_index, grad_cam, stages_that_heads_see
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.engine.predict import Predictor, find_pictures, output_paths
from mmghost.errors import run_door


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument('image', help='the picture')
    parser.add_argument('--out', required=True, help='the picture to write')
    parser.add_argument(
        '--query',
        type=float,
        nargs=2,
        metavar=('X', 'Y'),
        help='a position in px of the picture, from its upper left corner',
    )
    parser.add_argument(
        '--grad-cam',
        nargs='?',
        const='',
        metavar='CLASS',
        help='name or index of a class; without one, that of the highest score',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='scale the picture to fit into this; default: what the config tests on',
    )
    parser.add_argument(
        '--device', help='cpu, cuda, cuda:1 ...; default: a GPU if there is one'
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Draw as the command line says."""
    args = parse_args()
    (picture,) = find_pictures(args.image)[:1]
    (out,) = output_paths(picture, [picture], args.out)
    cfg = load_config(args.config, args.cfg_options)
    undilate(cfg)
    predictor = Predictor(cfg, args.checkpoint, args.device)
    model = predictor.model
    image = read_picture(picture, cfg, args.shape)
    x = to_input(image, model)
    query = args.query and query_fraction(picture, *args.query)
    stages = stage_maps(model.backbone, x, query)
    cam = None
    if args.grad_cam is not None:
        label = class_index(args.grad_cam, predictor.classes)
        layers = stages_that_heads_see(model.backbone)
        values, label = grad_cam(model, x, layers, label)
        name = predictor.classes[label] if predictor.classes else label
        cam = values, f'Grad-CAM: {name}'
    draw_attention(image, stages, out, cam)
    for stage in stages:
        print(
            f'stride {stage.stride}: {stage.blocks} blocks, gate '
            f'{stage.gate.min():.3f} to {stage.gate.max():.3f}'
        )
    print(f'-> {out}')


if __name__ == '__main__':
    run_door(main)
