"""Train a small GhostNetV2 detector from scratch and show what it learned.

Makes the Shapes data set, trains a light RetinaNet (on a GPU where there is one),
evaluates it with COCO's metric and draws its predictions and its curves.

Examples:
    python tools/demo.py
    python tools/demo.py --out somewhere/else --seed 1
    python tools/demo.py --cfg-options train_cfg.max_epochs=1   # a quick look
"""

import argparse
from pathlib import Path

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.engine.demo import run_demo
from mmghost.engine.options import add_cfg_options
from mmghost.errors import run_door


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


def main() -> None:
    """Run the demo and say where everything is."""
    args = parse_args()
    root = Path(__file__).resolve().parent.parent
    result = run_demo(root, args.out, args.seed, args.cfg_options)
    times = ', '.join(f'{name} {took:.0f} s' for name, took in result.seconds.items())
    lines = {
        'box AP (0.50:0.95)': f'{result.box_ap:.3f} on 100 unseen pictures',
        'box AP (0.50)': f'{result.box_ap50:.3f}',
        'time': times,
        'predictions': result.sheet,
        'one by one': result.pictures,
        'loss and AP': result.curves,
        'checkpoint': result.checkpoint,
        'data': result.data,
        'config': result.config,
    }
    print('\nmmghost demo: a RetinaNet with GhostNetV2, trained from scratch')
    for name, value in lines.items():
        print(f'  {name:<20}{value}')
    print('\nTry it on a picture of your own, evaluate it again, export it:')
    given = f'{result.config} {result.checkpoint}'
    print(f'  python tools/image_demo.py PICTURE {given} --out found.png')
    print(f'  python tools/test.py {given}')
    print(f'  python tools/deployment/export_onnx.py {given} --out model.onnx')


if __name__ == '__main__':
    run_door(main)
