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
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.deploy.converters import OPSET, TARGETS
from mmghost.deploy.export import OPSETS, export_files
from mmghost.deploy.parity import NO_OBJECTS
from mmghost.deploy.quantize import QUANTIZERS, quantize, training_images
from mmghost.deploy.runtime import FileError
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
        help='for onnx and openvino: one image of one size, with NMS and resizing left to '
        'the runtime, as in the files of ncnn',
    )
    add(
        '--fixed',
        action='store_true',
        help='for onnx and openvino: one size and number of images; default: any',
    )
    add('--batch', type=int, help='with --fixed: number of images; default: 1')
    add(
        '--opset',
        type=int,
        help="for onnx and openvino: version of ONNX's operators, "
        f'{OPSETS[0]} to {OPSETS[-1]}; default: {OPSET}',
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
        help='with --int8: largest loss of the score in points; default: 1',
    )
    add(
        '--seven-bits',
        action='store_true',
        help='with --int8 of onnx: weights of 7 bits, for x86 CPUs without VNNI',
    )
    add_cfg_options(parser)
    return parser.parse_args()


# The targets that an option is for; the others ignore it.
TAKE = {
    '--raw': ('onnx', 'openvino'),
    '--fixed': ('onnx', 'openvino'),
    '--batch': ('onnx', 'openvino'),
    '--opset': ('onnx', 'openvino'),
    '--int8': ('onnx', 'openvino', 'litert'),
    '--max-drop': ('onnx', 'openvino', 'litert'),
    '--seven-bits': ('onnx',),
}


def check_options(args: argparse.Namespace, cfg: Config) -> None:
    """Check that each option applies to a target, and that int8 has its data.

    Raises:
        UserError: If one does not.
    """
    for flag, targets in TAKE.items():
        value = getattr(args, flag[2:].replace('-', '_'))
        given = value is not None and value is not False  # 0 is given
        if given and not set(targets) & set(args.to):
            raise UserError(f'{flag} goes with --to {" or ".join(targets)}')
        if given and flag in ('--max-drop', '--seven-bits') and args.int8 is None:
            raise UserError(f'{flag} goes with --int8')
    if args.batch is not None and (args.batch < 1 or not args.fixed or args.raw):
        raise UserError(
            f'--batch {args.batch}: must be at least 1, with --fixed, not with --raw'
        )
    if args.int8 is not None:
        if not (cfg.get('test_dataloader') and cfg.get('test_evaluator')):
            raise UserError(
                '--int8 is scored on the test set: it needs test_dataloader and '
                'test_evaluator in the config'
            )
        # What is missing is reported before the export.
        if 'onnx' in args.to and args.opset is not None and args.opset < 13:
            raise UserError(f'--opset {args.opset}: int8 of onnx is in 13 and later')
        if 'openvino' in args.to and not find_spec('nncf'):
            raise UserError('int8 of OpenVINO needs nncf: pip install nncf')
        training_images(cfg, args.int8)


def main() -> None:
    """Export as the command line says."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check_options(args, cfg)
    images = (args.batch or 1) if args.fixed else None
    opset = OPSET if args.opset is None else args.opset
    how = dict(size=args.size, raw=args.raw, fixed=images, opset=opset)
    exports = []
    for export in export_files(cfg, args.checkpoint, args.to, args.out, **how):
        exports.append(export)
        parts = [Path(export.path)]
        if parts[0].suffix in ('.xml', '.param'):  # weights of OpenVINO and ncnn
            parts.append(parts[0].with_suffix('.bin'))
        size = sum(part.stat().st_size for part in parts) / 2**20
        print(f'{export.metadata.task} -> {export.path} ({size:.1f} MiB)')
        for found in export.comparisons:
            n, height, width = found.size
            print(f'compared at {n} x {height}x{width} px: {found.result}')
        if all(found.result == NO_OBJECTS for found in export.comparisons):
            print(
                'warning: nothing was compared: this checkpoint finds no objects in '
                'images of noise; export a trained one, or see --raw'
            )
    for export in exports:
        if args.int8 is not None and Path(export.path).suffix in QUANTIZERS:
            drop = 1.0 if args.max_drop is None else args.max_drop
            try:
                out, before, after = quantize(
                    cfg, export.path, args.int8, drop, args.seven_bits
                )
            except FileError as error:
                raise UserError(f'--int8: {error}') from error
            for name, value in after.items():
                print(f'{out}: {name} {value:.4f}, float32 {before[name]:.4f}')


if __name__ == '__main__':
    cli_main(main)
