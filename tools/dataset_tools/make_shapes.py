"""Make the Shapes data set in the layouts of COCO, ADE20K and ImageNet."""

import argparse
import time
from collections.abc import Sequence

from mmghost.datasets.shapes import ShapesSet, make_shapes
from mmghost.errors import UserError, run_door

EXAMPLES = """
examples:
  1000 pictures to train on and 100 to validate on, in all three layouts:
      python tools/dataset_tools/make_shapes.py data/shapes
  and then, to have them where configs look for data:
      ln -s shapes/coco data/coco; ln -s shapes/ade data/ade
      ln -s shapes/imagenet data/imagenet
  pictures of many sizes with one to ten of four kinds of shape, boxes and masks only:
      python tools/dataset_tools/make_shapes.py data/shapes --only coco \\
          --size 160 --max-size 240 320 --objects 1 10 \\
          --classes circle square star ring
  COCO's 80 categories, ADE20K's 150 and ImageNet's 1000, to try their configs:
      python tools/dataset_tools/make_shapes.py data/shapes --like-originals \\
          --train 64 --val 16
"""


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('out', help='folder to write to')
    parser.add_argument(
        '--train', type=int, default=1000, help='pictures to train on (default: 1000)'
    )
    parser.add_argument(
        '--val', type=int, default=100, help='pictures to validate on (default: 100)'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs='+',
        default=[192],
        metavar='PX',
        help='side, or height and width (default: 192)',
    )
    parser.add_argument(
        '--max-size',
        type=int,
        nargs='+',
        metavar='PX',
        help='sides lie between --size and this',
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--classes',
        nargs='+',
        default=['8'],
        metavar='N or NAME',
        help='number of classes, or their names (default: 8)',
    )
    group.add_argument(
        '--like-originals',
        action='store_true',
        help="as many classes as COCO, ADE20K and ImageNet have, with COCO's names; "
        'imagenet then has at least 1000 pictures in either split, one for each class',
    )
    parser.add_argument(
        '--objects',
        type=int,
        nargs='+',
        default=[1, 6],
        metavar='N',
        help='shapes a picture, or the least and the most (default: 1 6)',
    )
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument(
        '--only',
        nargs='+',
        metavar='LAYOUT',
        help='write only these layouts, of coco, ade and imagenet',
    )
    parser.add_argument(
        '--workers', type=int, default=1, help='processes that draw (default: 1)'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a Shapes data set that was made with other arguments',
    )
    return parser.parse_args(arguments)


def one_or_more(values: list[int] | None) -> int | list[int] | None:
    """One number stands for itself."""
    return values[0] if values and len(values) == 1 else values


def report(shapes: ShapesSet) -> None:
    """Print what is there."""
    for layout, splits in shapes.pictures.items():
        line = f'{layout:9}{splits["train"]} + {splits["val"]} pictures, '
        line += f'{len(shapes.classes[layout])} classes'
        if layout == 'coco':
            train, val = shapes.instances['train'], shapes.instances['val']
            line += f', {train} + {val} shapes'
        print(line)
        print(f'         {shapes.out / layout}')


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the data set that the command line asks for."""
    args = parse_args(arguments)
    classes = args.classes
    if len(classes) == 1 and classes[0].lstrip('-').isdigit():
        classes = int(classes[0])
    start = time.perf_counter()
    try:
        shapes = make_shapes(
            args.out,
            train=args.train,
            val=args.val,
            size=one_or_more(args.size),
            max_size=one_or_more(args.max_size),
            classes=classes,
            objects=one_or_more(args.objects),
            seed=args.seed,
            only=args.only,
            like_originals=args.like_originals,
            workers=args.workers,
            overwrite=args.overwrite,
        )
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    seconds = time.perf_counter() - start
    print(f'made in {seconds:.1f} s' if shapes.made else 'already there')
    report(shapes)


if __name__ == '__main__':
    run_door(main, 'interrupted; the next call makes the data set anew')
