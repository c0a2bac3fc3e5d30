r"""Export a classifier, a detector or a segmentor to ONNX, checked against PyTorch.

Examples:
    python tools/deployment/export_onnx.py configs/retinanet_ghostnetv2_coco.py \
        work_dirs/retinanet_ghostnetv2_coco/epoch_12.pth --out retinanet.onnx
    python tools/deployment/run_onnx.py retinanet.onnx image.jpg --out seen.png
    python tools/deployment/export_onnx.py CONFIG CHECKPOINT --out a.onnx --raw
    python tools/deployment/export_onnx.py CONFIG CHECKPOINT --out a.onnx \
        --fixed --size 416 416
    python tools/deployment/export_onnx.py CONFIG CHECKPOINT --out a.onnx --int8
"""

import argparse
import os

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.deploy.export import OPSET, export_onnx
from mmghost.deploy.parity import NO_OBJECTS
from mmghost.deploy.quantize import quantize, training_images
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument('--out', required=True, help='the file to write, .onnx')
    parser.add_argument(
        '--raw',
        action='store_true',
        help='leave out decoding, NMS and resizing: the outputs of the head',
    )
    parser.add_argument(
        '--fixed',
        action='store_true',
        help='take one size of input and one batch only; default: any',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help="with --fixed the input's only size; default: from the test pipeline",
    )
    parser.add_argument(
        '--batch', type=int, default=1, help='with --fixed the only batch'
    )
    parser.add_argument(
        '--opset',
        type=int,
        default=OPSET,
        help=f"version of ONNX's operators, 16 to 20; default: {OPSET}",
    )
    parser.add_argument(
        '--int8',
        type=int,
        nargs='?',
        const=64,
        metavar='IMAGES',
        help='also write NAME_int8.onnx, quantized with this many images of the training '
        'set; default: 64',
    )
    parser.add_argument(
        '--seven-bits',
        action='store_true',
        help='with --int8: weights of 7 bits, for x86 CPUs without VNNI',
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Export as the command line says."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if args.int8 is not None:
        training_images(cfg, args.int8)  # missing data are reported before the export
    export = export_onnx(
        cfg,
        args.checkpoint,
        args.out,
        raw=args.raw,
        fixed=args.fixed,
        size=args.size,
        batch=args.batch,
        opset=args.opset,
    )
    for kind, shapes in (('input', export.inputs), ('output', export.outputs)):
        for name, shape in shapes.items():
            print(f'{kind} {name}: {" x ".join(map(str, shape))}')
    for found in export.comparisons:
        n, height, width = found.size
        print(f'checked against PyTorch at {n} x {height}x{width} px: {found.result}')
    if all(found.result == NO_OBJECTS for found in export.comparisons):
        print(
            'warning: nothing was compared: this checkpoint finds no objects in images '
            'of noise; check with --raw, or with a trained one'
        )
    size = os.path.getsize(export.path) / 2**20
    print(
        f'{export.metadata.task} -> {export.path} ({size:.1f} MiB, opset {args.opset})'
    )
    if args.int8 is not None:
        path = quantize(cfg, export.path, args.int8, seven_bits=args.seven_bits)
        size = os.path.getsize(path) / 2**20
        print(f'int8, calibrated with {args.int8} images -> {path} ({size:.1f} MiB)')


if __name__ == '__main__':
    cli_main(main)
