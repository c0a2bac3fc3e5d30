r"""Evaluate an exported file on the test set of a config, as tools/test.py a checkpoint.

Examples:
    python tools/deployment/test_model.py configs/retinanet_ghostnetv2_coco.py retinanet.onnx
    python tools/deployment/test_model.py CONFIG FILE --backend openvino --json metrics.json
    python tools/deployment/test_model.py CONFIG FILE --cfg-options \
        test_dataloader.dataset.ann_file=test.json test_evaluator.ann_file=data/test.json
"""

import argparse
import json
from pathlib import Path

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.deploy.evaluate import evaluate
from mmghost.deploy.runtime import BACKENDS
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.errors import cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='the config that the file was exported with')
    parser.add_argument(
        'file', help='an exported file: .onnx, .xml, .param, .tflite, .pte'
    )
    parser.add_argument('--backend', choices=BACKENDS, help='the runtime')
    parser.add_argument('--threads', type=int, help="default: the backend's choice")
    parser.add_argument('--bf16', action='store_true', help='with openvino: bfloat16')
    parser.add_argument('--json', help='the file to write the metrics into')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Evaluate as the command line says."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if args.json:  # a folder that is missing or full is no news for the end
        Path(args.json).open('a').close()
    metrics = evaluate(
        cfg, args.file, backend=args.backend, threads=args.threads, bf16=args.bf16
    )
    for name, value in metrics.items():
        print(f'{name}: {value:.4f}')
    if args.json:
        Path(args.json).write_text(json.dumps(metrics, indent=2))


if __name__ == '__main__':
    cli_main(main)
