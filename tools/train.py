r"""Train a detector, a segmentor or a classifier from its config.

Examples:
    python tools/train.py configs/retinanet_ghostnetv2_coco.py
    python tools/train.py CONFIG --work-dir work_dirs/second --auto-scale-lr
    python tools/train.py CONFIG --resume                    # go on where it stopped
    python tools/train.py CONFIG --cfg-options train_cfg.max_epochs=3 \
        model.backbone.init_cfg.checkpoint=ck_ghostnetv2_10.pth.tar
    bash tools/dist_train.sh CONFIG 8                        # 8 GPUs of one machine
"""

import argparse

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.engine.launch import leave_group, load_config, prepare_train, run_train
from mmghost.engine.options import add_cfg_options, parse_launched
from mmghost.errors import cli_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument(
        '--work-dir',
        help='for logs and checkpoints; default: the work_dir of the config, or '
        'work_dirs/NAME_OF_THE_CONFIG',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='go on from this checkpoint; without a path, from the last whole one in '
        'the work dir',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision; needs a GPU'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale lr by the batch size over all GPUs, relative to the one that the '
        "config's lr is for (auto_scale_lr.base_batch_size)",
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='do not evaluate during training'
    )
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not page-lock the memory of the data loaders',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='end the workers of the data loaders after every epoch',
    )
    add_cfg_options(
        parser,
        such_as='train_cfg.max_epochs=3 model.backbone.init_cfg=None '
        '"img_scale=[(320,320),(416,416)]"',
    )
    return parse_launched(parser, 'dist_train.sh and slurm_train.sh')


def main() -> None:
    """Train as the command line says."""
    flags = vars(parse_args())
    config = [flags.pop(name) for name in ('config', 'cfg_options', 'work_dir')]
    run_train(prepare_train(load_config(*config), **flags))
    leave_group()


if __name__ == '__main__':
    cli_main(main, 'interrupted; --resume goes on from the last checkpoint')
