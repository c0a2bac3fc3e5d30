"""Count parameters and multiply-accumulates of a config's model; needs no data.

Convolutions and linear layers are counted, as the GhostNet papers do ("FLOPs" there are
multiply-accumulates); other counters add normalisations and the like.

Examples:
    python tools/analysis_tools/get_flops.py configs/retinanet_ghostnetv2_coco.py
    python tools/analysis_tools/get_flops.py CONFIG --shape 320 320
    python tools/analysis_tools/get_flops.py CONFIG --json \
        --cfg-options model.backbone.dfc.kernel_size=7
"""

import argparse
import json

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.analysis.config_costs import ConfigCost, config_cost
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import run_door


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
        help='height and width of the picture, or one side of a square; default: the '
        "size that the config's test pipeline gives",
    )
    parser.add_argument('--json', action='store_true', help='print JSON')
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.shape and (len(args.shape) > 2 or min(args.shape) < 1):
        parser.error('--shape takes one or two positive numbers: height and width')
    return args


def lines(cost: ConfigCost) -> list[str]:
    """Put a cost in words."""
    rows = [('backbone', cost.backbone)] if cost.backbone else []
    rows.append(('whole', cost.whole))
    found = [f'{"":8}  {"parameters":>14}  {"MACs":>18}']
    found += [f'{n:8}  {c.params:>14,}  {c.macs:>18,}' for n, c in rows]
    found.append(f'for one picture of {cost.shape[0]} x {cost.shape[1]} px')
    if cost.proposals is not None:
        found.append(f'the head with {cost.proposals} proposals, the most it takes')
    return found


def main() -> None:
    """Count as the command line says."""
    args = parse_args()
    shape = tuple(args.shape * 2)[:2] if args.shape else None
    cost = config_cost(load_config(args.config, args.cfg_options), shape)
    if not args.json:
        print('\n'.join(lines(cost)))
        return
    data = {'config': args.config, 'shape': list(cost.shape)}
    for name in ('backbone', 'whole'):
        part = getattr(cost, name)
        data[name] = part and part._asdict()
    print(json.dumps({**data, 'proposals': cost.proposals}, indent=1))


if __name__ == '__main__':
    run_door(main)
