"""Make the Shapes dataset in the layouts of COCO, ADE20K and ImageNet."""

import argparse
import time
from collections.abc import Sequence

from mmghost.datasets.shapes import make_shapes
from mmghost.errors import UserError, cli_main

EXAMPLES = """
examples:
  1000 training and 100 validation images, in all three layouts:
      python tools/dataset_tools/make_shapes.py data/shapes
  and then, to have them where configs look for data:
      ln -s shapes/coco data/coco; ln -s shapes/ade data/ade
      ln -s shapes/imagenet data/imagenet
  small images with four kinds of shape, boxes and masks only:
      python tools/dataset_tools/make_shapes.py data/shapes --only coco \\
          --size 128 --classes circle square star ring
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
        '--train', type=int, default=1000, help='training images (default: 1000)'
    )
    parser.add_argument(
        '--val', type=int, default=100, help='validation images (default: 100)'
    )
    parser.add_argument(
        '--size', type=int, default=192, help='side of the images in px (default: 192)'
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
        'imagenet then has at least 1000 images in either split, one for each class',
    )
    parser.add_argument(
        '--objects',
        type=int,
        nargs='+',
        default=[1, 6],
        metavar='N',
        help='shapes in an image, or the smallest and largest number (default: 1 6)',
    )
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument(
        '--only',
        nargs='+',
        metavar='LAYOUT',
        help='write only these layouts, of coco, ade and imagenet',
    )
    parser.add_argument(
        '--workers', type=int, default=1, help='threads that draw (default: 1)'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace Shapes that were made with other arguments',
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the dataset that the command line asks for."""
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
            size=args.size,
            classes=classes,
            seed=args.seed,
            only=args.only,
            like_originals=args.like_originals,
            workers=args.workers,
            objects=args.objects,
            overwrite=args.overwrite,
        )
    except (ValueError, FileExistsError) as error:
        raise UserError(str(error)) from error
    seconds = time.perf_counter() - start
    print(f'made in {seconds:.1f} s' if shapes.made else 'already there')
    for layout, counts in shapes.images.items():
        line = f'{counts["train"]} + {counts["val"]} images'
        print(f'{layout:9}{line}, {len(shapes.classes[layout])} classes')
        print(f'         {shapes.out / layout}')


if __name__ == '__main__':
    cli_main(main, 'interrupted; the next call makes the dataset again')
