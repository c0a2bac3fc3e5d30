"""Count parameters and multiply-accumulates of a config's model; needs no data.

Convolutions and linear layers are counted, as in the GhostNet papers ("FLOPs" there are
multiply-accumulates); other counters add normalizations and the like.

Examples:
    python tools/analysis_tools/get_flops.py configs/retinanet_ghostnetv2_coco.py
    python tools/analysis_tools/get_flops.py CONFIG --shape 320 320
    python tools/analysis_tools/get_flops.py CONFIG --json \
        --cfg-options model.backbone.dfc.kernel_size=7
"""

import argparse
import json

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis import config_cost
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='PX',
        help='height and width of the image, or one side of a square; default: the size '
        "that the config's test pipeline gives",
    )
    parser.add_argument('--json', action='store_true', help='print JSON')
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.shape and (len(args.shape) > 2 or min(args.shape) < 1):
        parser.error('--shape takes one or two positive numbers: height and width')
    return args


def main() -> None:
    """Count as the command line says."""
    args = parse_args()
    shape = tuple(args.shape * 2)[:2] if args.shape else None
    cost = config_cost(load_config(args.config, args.cfg_options), shape)
    parts = dict(backbone=cost.backbone, whole=cost.whole)
    if args.json:
        data = {'config': args.config, 'shape': list(cost.shape)}
        data |= {name: part and part._asdict() for name, part in parts.items()}
        print(json.dumps({**data, 'proposals': cost.proposals}, indent=1))
        return
    print(f'{"":8}  {"parameters":>14}  {"MACs":>18}')
    for name, part in parts.items():
        if part is not None:
            print(f'{name:8}  {part.params:>14,}  {part.macs:>18,}')
    print(f'for one image of {cost.shape[0]} x {cost.shape[1]} px')
    if cost.proposals is not None:
        print(f'the head with {cost.proposals} proposals, the most it takes')


if __name__ == '__main__':
    cli_main(main)
