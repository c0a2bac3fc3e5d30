r"""Fold the batch norms of a GhostNet into its convolutions, for inference.

Works for classifiers, detectors and segmentors. The file that is written is used with
the same config: the backbone knows such weights and switches itself.

Examples:
    python tools/model_converters/switch_to_deploy.py \
        configs/retinanet_ghostnetv2_coco.py \
        work_dirs/retinanet_ghostnetv2_coco/epoch_12.pth retinanet_deploy.pth
    python tools/test.py configs/retinanet_ghostnetv2_coco.py retinanet_deploy.pth
"""

import argparse

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.deploy.switching import switch_checkpoint
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import run_door


def main() -> None:
    """Switch as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument('out', help='the file to write')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=[224, 224],
        metavar=('HEIGHT', 'WIDTH'),
        help='of the pictures that both forms are compared on; default: 224 224',
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    cfg = load_config(args.config, args.cfg_options)
    done = switch_checkpoint(cfg, args.checkpoint, args.out, tuple(args.size))
    print(
        f'{args.out}: {done.folded} batch norms folded, {done.left} left in neck and '
        f'head; maps differ by {done.difference:.1e} of the largest value in double '
        f'precision, by {done.rounding:.1e} as they are written'
    )


if __name__ == '__main__':
    run_door(main)
