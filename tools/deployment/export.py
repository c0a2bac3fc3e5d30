r"""Export a trained model for several runtimes; each file is compared with PyTorch.

Examples:
    python tools/deployment/export.py configs/retinanet_ghostnetv2_coco.py \
        work_dirs/retinanet_ghostnetv2_coco/epoch_12.pth --to onnx ncnn --out exported
    python tools/deployment/export.py CONFIG CHECKPOINT --to litert --out exported \
        --size 320 320
    python tools/deployment/export.py CONFIG CHECKPOINT --to onnx --out exported --int8
    python tools/deployment/run_model.py exported/model.ncnn.param image.jpg --out seen.png
"""

import argparse

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.deploy.export import TARGETS, export_files
from mmghost.deploy.parity import NO_OBJECTS
from mmghost.deploy.quantize import quantize_checked, training_images
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import UserError, cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument(
        '--to', nargs='+', choices=TARGETS, required=True, help='the runtimes'
    )
    parser.add_argument('--out', required=True, help='the folder for the files')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help="the input's size, which ncnn, litert and executorch fix; default: from the "
        'test pipeline',
    )
    parser.add_argument(
        '--int8',
        type=int,
        nargs='?',
        const=64,
        metavar='IMAGES',
        help='with --to onnx or openvino: also write model_int8, calibrated with this '
        'many images of the training set (default: 64) and evaluated on the test set',
    )
    parser.add_argument(
        '--max-drop',
        type=float,
        default=1.0,
        help='with --int8: largest loss of the score in points; default: 1',
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
        if not {'onnx', 'openvino'} & set(args.to):
            raise UserError('--int8 goes with --to onnx or openvino')
        training_images(cfg, args.int8)  # missing data are reported before the export
    exports = export_files(cfg, args.checkpoint, args.to, args.out, args.size)
    for export in exports:
        for found in export.comparisons:
            n, height, width = found.size
            print(f'{export.path} at {n} x {height}x{width} px: {found.result}')
        if all(found.result == NO_OBJECTS for found in export.comparisons):
            print(f'warning: {export.path}: nothing was compared, for want of objects')
    for export in exports:
        if args.int8 is not None and export.path.endswith(('.onnx', '.xml')):
            out, before, after = quantize_checked(
                cfg, export.path, args.int8, args.max_drop, args.seven_bits
            )
            for name, value in after.items():
                print(f'{out}: {name} {value:.4f}, float32 {before[name]:.4f}')


if __name__ == '__main__':
    cli_main(main)
