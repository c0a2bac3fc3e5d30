r"""Fold the batch norms of a GhostNet into its convolutions, for inference.

Works for classifiers, detectors and segmentors. mmghost's tools use the file with the same
config; the toolboxes' own tools need model.backbone.deploy=True beside it.

Examples:
    python tools/model_converters/switch_to_deploy.py \
        configs/retinanet_ghostnetv2_coco.py \
        work_dirs/retinanet_ghostnetv2_coco/epoch_12.pth retinanet_deploy.pth
    python tools/test.py configs/retinanet_ghostnetv2_coco.py retinanet_deploy.pth
"""

import argparse

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.deploy.deployed import deploy_checkpoint
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import cli_main


def main() -> None:
    """Fold as the command line says."""
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
        help='of the noise that both forms are compared on; default: 224 224',
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    cfg = load_config(args.config, args.cfg_options)
    difference = deploy_checkpoint(cfg, args.checkpoint, args.out, tuple(args.size))
    print(
        f'{args.out}: batch norms of the backbone folded; its maps differ by '
        f'{difference:.1e} of the largest value, in double precision'
    )


if __name__ == '__main__':
    cli_main(main)
