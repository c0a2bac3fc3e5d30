r"""Evaluate a detector, a segmentor or a classifier.

Examples:
    python tools/test.py configs/retinanet_ghostnetv2_coco.py \
        work_dirs/retinanet_ghostnetv2_coco/epoch_12.pth
    python tools/test.py CONFIG CHECKPOINT --show-dir images      # in WORK_DIR/TIME/images
    python tools/test.py CONFIG CHECKPOINT --tta
    python tools/test.py CONFIG CHECKPOINT --out predictions.pkl
    bash tools/dist_test.sh CONFIG CHECKPOINT 8                # 8 GPUs of one machine
"""

import argparse

from mmengine.dist import is_main_process
from mmengine.fileio import dump

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.engine.launch import leave_group, load_config, prepare_test, run_test
from mmghost.engine.options import add_cfg_options, parse_launched
from mmghost.errors import cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument(
        '--work-dir',
        help='for the metrics; default: the work_dir of the config, or '
        'work_dirs/NAME_OF_THE_CONFIG',
    )
    parser.add_argument(
        '--out',
        help='keep the predictions: a .pkl file (detection, classification), or a '
        "folder of label maps in the form of the benchmark's server (segmentation)",
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='classification: what goes into --out; default: the predictions',
    )
    parser.add_argument('--show', action='store_true', help='show the predictions')
    parser.add_argument(
        '--show-dir',
        help='keep images of the predictions: below WORK_DIR/TIME for detection, in '
        'SHOW_DIR/vis_data/vis_image for segmentation',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='how long --show waits, in s'
    )
    parser.add_argument(
        '--interval', type=int, default=1, help='show or keep every how many images'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="test-time augmentation: the config's tta_pipeline and tta_model, or "
        'flips (detection, classification)',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision; needs a GPU'
    )
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not page-lock the memory of the data loader',
    )
    add_cfg_options(parser, such_as='test_dataloader.batch_size=8')
    return parse_launched(parser, 'dist_test.sh and slurm_test.sh')


def main() -> None:
    """Evaluate as the command line says."""
    flags = vars(parse_args())
    config = [flags.pop(name) for name in ('config', 'cfg_options', 'work_dir')]
    metrics = run_test(prepare_test(load_config(*config), **flags))
    if flags['out_item'] == 'metrics' and is_main_process():
        dump(metrics, flags['out'])
    leave_group()


if __name__ == '__main__':
    cli_main(main)
