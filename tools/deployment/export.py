r"""Export a trained model for several runtimes; each file is compared with PyTorch.

Examples:
    python tools/deployment/export.py configs/retinanet_ghostnetv2_coco.py \
        work_dirs/retinanet_ghostnetv2_coco/epoch_12.pth --to onnx ncnn --out exported
    python tools/deployment/export.py CONFIG CHECKPOINT --to litert --out exported \
        --size 320 320
    python tools/deployment/export.py CONFIG CHECKPOINT --to onnx --out exported --int8
    python tools/deployment/run_model.py exported/model.ncnn.param image.jpg --out seen.png
    python tools/deployment/export_onnx.py CONFIG CHECKPOINT --out a.onnx \
        --fixed --size 416 416                               # the same as --to onnx
"""

import argparse
from pathlib import Path

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.deploy.converters import OPSET, TARGETS
from mmghost.deploy.export import OPSETS, Options, export_files
from mmghost.deploy.parity import NO_OBJECTS
from mmghost.deploy.quantize import QUANTIZERS, quantize, training_images
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import UserError, cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help='a config of mmdet, mmseg or mmpretrain')
    add('checkpoint', help='the weights: a file or a URL')
    add('--to', nargs='+', choices=TARGETS, required=True, help='the runtimes')
    add('--out', required=True, help='the folder to write; for onnx also a file, .onnx')
    add(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the input, the only one of ncnn, litert, executorch and --fixed; '
        'default: from the test pipeline',
    )
    add(
        '--raw',
        action='store_true',
        help='leave out decoding, NMS and resizing: the outputs of the head',
    )
    add(
        '--fixed',
        action='store_true',
        help='take one size of input and one batch only; default: any',
    )
    add('--batch', type=int, default=1, help='with --fixed the only batch')
    add(
        '--opset',
        type=int,
        default=OPSET,
        help=f"version of ONNX's operators, {OPSETS[0]} to {OPSETS[-1]}; "
        f'default: {OPSET}',
    )
    add(
        '--int8',
        type=int,
        nargs='?',
        const=64,
        metavar='IMAGES',
        help='for onnx, openvino and litert: also write NAME_int8, calibrated with this '
        'many images of the training set (default: 64) and evaluated on the test set',
    )
    add(
        '--max-drop',
        type=float,
        default=1.0,
        help='with --int8: largest loss of the score in points; default: 1',
    )
    add(
        '--seven-bits',
        action='store_true',
        help='with --int8 of onnx: weights of 7 bits, for x86 CPUs without VNNI',
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Export as the command line says."""
    args = parse_args()
    options = Options(args.size, args.raw, args.fixed, args.batch, args.opset)
    cfg = load_config(args.config, args.cfg_options)
    if args.int8 is not None:
        if not {'onnx', 'openvino', 'litert'} & set(args.to):
            raise UserError('--int8 goes with --to onnx, openvino or litert')
        if args.raw or not (cfg.get('test_dataloader') and cfg.get('test_evaluator')):
            raise UserError(
                '--int8 is scored on the test set: it needs test_dataloader and '
                'test_evaluator in the config, and no --raw'
            )
        training_images(cfg, args.int8)  # missing data are reported before the export
    exports = export_files(cfg, args.checkpoint, args.to, args.out, options)
    for export in exports:
        parts = [Path(export.path)]
        if parts[0].suffix in (
            '.xml',
            '.param',
        ):  # OpenVINO and ncnn: weights beside it
            parts.append(parts[0].with_suffix('.bin'))
        size = sum(part.stat().st_size for part in parts) / 2**20
        print(f'{export.metadata.task} -> {export.path} ({size:.1f} MiB)')
        for found in export.comparisons:
            n, height, width = found.size
            print(f'compared at {n} x {height}x{width} px: {found.result}')
        if all(found.result == NO_OBJECTS for found in export.comparisons):
            print(
                'warning: nothing was compared: this checkpoint finds no objects in '
                'images of noise; check with --raw, or with a trained one'
            )
    for export in exports:
        if args.int8 is not None and Path(export.path).suffix in QUANTIZERS:
            out, before, after = quantize(
                cfg, export.path, args.int8, args.max_drop, args.seven_bits
            )
            for name, value in after.items():
                print(f'{out}: {name} {value:.4f}, float32 {before[name]:.4f}')


if __name__ == '__main__':
    cli_main(main)
