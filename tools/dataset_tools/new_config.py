"""Write a config for data of your own, that tools/train.py takes as it is."""

import argparse
from collections.abc import Sequence

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.datasets.own import new_config
from mmghost.datasets.own.making import TASKS, WIDTHS, Choices
from mmghost.errors import run_door

EXAMPLES = """
examples:
  boxes in COCO's form, pictures in a folder `images` beside the files:
      python tools/dataset_tools/new_config.py --task detection \\
          --train data/mine/train.json --val data/mine/val.json --out configs/mine.py
  boxes of Pascal VOC (XML files), lists in ImageSets/Main:
      python tools/dataset_tools/new_config.py --task detection \\
          --train data/voc/ImageSets/Main/train.txt \\
          --val data/voc/ImageSets/Main/val.txt --out configs/mine.py
  YOLO labels; --val is another data.yaml, or the same:
      python tools/dataset_tools/new_config.py --task detection \\
          --train data/yolo/data.yaml --val data/yolo/data.yaml --out configs/mine.py
  boxes and masks, from scratch:
      python tools/dataset_tools/new_config.py --task instance --weights none \\
          --train data/mine/train.json --val data/mine/val.json --out configs/mine.py
  one number a pixel:
      python tools/dataset_tools/new_config.py --task segmentation \\
          --train data/mine/img_dir/train --val data/mine/img_dir/val \\
          --classes background nucleus --out configs/mine.py
  one folder for each class:
      python tools/dataset_tools/new_config.py --task classification \\
          --train data/mine/train --val data/mine/val --out configs/mine.py
"""


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--task', required=True, choices=TASKS)
    parser.add_argument(
        '--train',
        required=True,
        help='a COCO JSON, a YOLO data.yaml, a list of VOC or YOLO, or a folder',
    )
    parser.add_argument('--val', required=True, help='the same to validate on')
    parser.add_argument('--out', required=True, help='the config to write')
    parser.add_argument(
        '--images', help='folder of the pictures, where it is not found by itself'
    )
    parser.add_argument('--val-images', help='the same for --val (default: --images)')
    parser.add_argument('--train-maps', help='segmentation: folder of the label maps')
    parser.add_argument('--val-maps', help='segmentation: the same for --val')
    parser.add_argument(
        '--classes', nargs='+', default=[], metavar='NAME', help='the classes to learn'
    )
    parser.add_argument(
        '--model',
        help='detection: retinanet (default), faster-rcnn, yolov3 or rtmdet',
    )
    parser.add_argument(
        '--width', type=float, default=1.0, help=f'of {WIDTHS} (default: 1.0)'
    )
    parser.add_argument(
        '--weights',
        help="file or URL that the backbone starts from; 'none' starts from scratch "
        "(default: the authors' ImageNet weights)",
    )
    parser.add_argument(
        '--light',
        action=argparse.BooleanOptionalAction,
        help='light heads (default: where there is no GPU)',
    )
    parser.add_argument('--size', type=int, help='longer side of the input in px')
    parser.add_argument('--batch', type=int, help='pictures a step')
    parser.add_argument('--epochs', type=int, help='how often each picture is seen')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace the config that is there'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the config that the command line asks for."""
    args = parse_args(arguments)
    path = new_config(
        args.task,
        args.train,
        args.val,
        args.out,
        images=(args.images, args.val_images or args.images),
        maps=(args.train_maps, args.val_maps),
        classes=args.classes,
        choices=Choices(
            model=args.model,
            width=args.width,
            weights=args.weights,
            light=args.light,
            size=args.size,
            batch=args.batch,
            epochs=args.epochs,
        ),
        overwrite=args.overwrite,
    )
    print(
        f'{path} is written. Have a look at it, then:\n  python tools/train.py {path}'
    )


if __name__ == '__main__':
    run_door(main)
