"""Draw what DFC attention does with an image.

One map of the mean gate for each stride; with --query also what the attention of a
position draws on, through the vertical and the horizontal kernel. How the paper's figure 6
was made is not published: this is the project's own computation (docs/results.md).

Examples:
    python tools/visualization/vis_dfc.py CONFIG CHECKPOINT dog.jpg --out seen.png
    python tools/visualization/vis_dfc.py CONFIG CHECKPOINT dog.jpg --out seen.png \
        --query 320 200
"""

import argparse
from collections.abc import Sequence

import mmcv
import numpy as np

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis import AttentionMaps, attention_maps, default_shape
from mmghost.analysis.attention_maps import to_input
from mmghost.deploy.runtime import FileError
from mmghost.deploy.runtime.images import read_image
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.engine.predict import Predictor
from mmghost.errors import UserError, cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument('image', help='the image')
    parser.add_argument('--out', required=True, help='the image to write')
    parser.add_argument(
        '--query',
        type=float,
        nargs=2,
        metavar=('X', 'Y'),
        help='a position in px of the image, from its upper left corner',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='scale the image to fit into this; default: what the config tests on',
    )
    parser.add_argument(
        '--device', help='cpu, cuda, cuda:1 ...; default: a GPU if there is one'
    )
    add_cfg_options(parser)
    return parser.parse_args()


def draw(image: np.ndarray, stages: Sequence[AttentionMaps], out: str) -> None:
    """Draw the gates, and below them what the query draws on.

    Each map has its own scale, because gates differ more between strides than within one.

    Args:
        image: RGB, (H, W, 3).
        stages: The maps.
        out: The image to write.
    """
    from matplotlib.figure import Figure

    height, width = image.shape[:2]
    rows = [('gate', [stage.gate for stage in stages])]
    if stages[0].drawn is not None:
        rows.append(('query draws on', [stage.drawn for stage in stages]))
    size = (3 * (1 + len(stages)), len(rows) * (2.4 * height / width + 0.35))
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.subplots(len(rows), 1 + len(stages), squeeze=False)
    for axis in axes.flat:
        axis.axis('off')
    axes[0, 0].imshow(image)
    axes[0, 0].set_title('image', fontsize=9)
    box = (0, width, height, 0)
    for i, (title, maps) in enumerate(rows):
        for axis, stage, values in zip(axes[i, 1:], stages, maps):
            axis.imshow(image.mean(2), cmap='gray', extent=box)
            shown = axis.imshow(
                values, 'viridis', alpha=0.6, extent=box, interpolation='nearest'
            )
            axis.set_title(f'{title}, stride {stage.stride}', fontsize=9)
            figure.colorbar(shown, ax=axis, shrink=0.8, format='%.3f')
            if i == 1:  # the query
                y, x = ((p + 0.5) / n for p, n in zip(stage.query, values.shape))
                axis.plot(x * width, y * height, 'r+', markersize=9)
    figure.savefig(out, dpi=110)


def main() -> None:
    """Draw as the command line says."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if 'output_stride' in cfg.model.backbone:  # the same attention, in whole maps
        cfg.model.backbone.output_stride = 32
    try:
        image = read_image(args.image)
    except FileError as error:
        raise UserError(str(error)) from error
    query = None
    if args.query:
        query = args.query[1] / image.shape[0], args.query[0] / image.shape[1]
        if not all(0 <= part < 1 for part in query):
            raise UserError(
                f'--query {args.query[0]:g} {args.query[1]:g}: {args.image} has '
                f'{image.shape[1]} x {image.shape[0]} px (width x height)'
            )
    image = mmcv.imrescale(image, tuple(args.shape or default_shape(cfg)))
    model = Predictor(cfg, args.checkpoint, args.device).model
    stages = attention_maps(model.backbone, to_input(image, model), query)
    draw(image, stages, args.out)
    for stage in stages:
        print(
            f'stride {stage.stride}: {stage.blocks} blocks, gate '
            f'{stage.gate.min():.3f} to {stage.gate.max():.3f}'
        )
    print(f'-> {args.out}')


if __name__ == '__main__':
    cli_main(main)
