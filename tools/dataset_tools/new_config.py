"""Write a config for data of your own that tools/train.py takes as it is."""

import argparse
import shlex
from collections.abc import Sequence

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.datasets.custom import Choices, new_config
from mmghost.datasets.custom.making import TASKS, WIDTHS
from mmghost.errors import cli_main

EXAMPLES = """
examples:
  boxes in a COCO JSON, images in a folder `images` beside it:
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
  label maps, one number for each pixel:
      python tools/dataset_tools/new_config.py --task segmentation \\
          --train data/mine/img_dir/train --val data/mine/img_dir/val \\
          --classes background nucleus --out configs/mine.py
  masks of 0 and 255:
      python tools/dataset_tools/new_config.py --task segmentation \\
          --train data/mine/images/train --val data/mine/images/val \\
          --classes background nucleus --label-values 0 255 --out configs/mine.py
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
        help='a COCO JSON, a YOLO data.yaml, a list of images (VOC, YOLO), or a folder',
    )
    parser.add_argument('--val', required=True, help='the same for validation')
    parser.add_argument('--out', required=True, help='the config to write')
    parser.add_argument(
        '--images', help='folder of the images, if it is not found by itself'
    )
    parser.add_argument('--val-images', help='the same for --val (default: --images)')
    parser.add_argument('--train-maps', help='segmentation: folder of the label maps')
    parser.add_argument('--val-maps', help='segmentation: the same for --val')
    parser.add_argument(
        '--map-suffix',
        metavar='END',
        help="segmentation: end of the label maps' names, such as _labelIds.png, if "
        'there are several for each image',
    )
    parser.add_argument(
        '--label-values',
        nargs='+',
        default=[],
        metavar='VALUE',
        help='segmentation: value or color (64,128,64) of each class in the label maps '
        '(default: 0 1 2 ...)',
    )
    parser.add_argument(
        '--ignore-label',
        nargs='+',
        default=[],
        metavar='VALUE',
        help='segmentation: values or colors that are no class (255 is none, unless '
        '--label-values has it)',
    )
    parser.add_argument(
        '--classes', nargs='+', default=[], metavar='NAME', help='the classes to learn'
    )
    parser.add_argument(
        '--keep-empty',
        action='store_true',
        help='detection: train on images without objects, too',
    )
    parser.add_argument(
        '--model',
        help='detection: retinanet (default), faster-rcnn, yolov3 or rtmdet',
    )
    parser.add_argument(
        '--width', type=float, default=1.0, choices=WIDTHS, help='(default: 1.0)'
    )
    parser.add_argument(
        '--weights',
        help="file or URL that the backbone starts from; 'none' starts from scratch "
        "(default: the authors' ImageNet weights)",
    )
    parser.add_argument(
        '--light',
        action=argparse.BooleanOptionalAction,
        help='light heads for RetinaNet, Mask R-CNN, DeepLabV3+ (default: without a GPU)',
    )
    parser.add_argument(
        '--size',
        type=int,
        help='longer side of the input in px; side of the crops for label maps and classes',
    )
    parser.add_argument('--batch', type=int, help='images in a step')
    parser.add_argument('--epochs', type=int, help='number of epochs')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an existing config'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the config that the command line asks for."""
    args = parse_args(arguments)
    flags = {name: vars(args)[name] for name in Choices._fields}
    path = new_config(
        args.task,
        args.train,
        args.val,
        args.out,
        choices=Choices(**flags),
        overwrite=args.overwrite,
    )
    quoted = shlex.quote(str(path))
    print(f'{path} is written. Look at it, then:\n  python tools/train.py {quoted}')


if __name__ == '__main__':
    cli_main(main)
