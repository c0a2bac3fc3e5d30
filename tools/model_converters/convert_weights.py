r"""Rewrite GhostNet weights of any origin under other names.

Examples:
    python tools/model_converters/convert_weights.py ck_ghostnetv2_10.pth.tar \
        ghostnetv2-1.0_in1k.pth --to mmpretrain        # for mmpretrain's own tools
    python tools/model_converters/convert_weights.py work_dirs/x/epoch_12.pth \
        backbone.pth --to backbone                     # out of a detector
    python tools/model_converters/convert_weights.py classifier.pth \
        for_timm.pth --to release                      # for timm; V1 and V2: and the authors'
"""

import argparse

from mmghost.errors import cli_main
from mmghost.weights import convert
from mmghost.weights.converting import FORMS


def main() -> None:
    """Convert a file as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source',
        help="a file, URL or timm hub name: the authors', timm's, MindSpore's, or a "
        'checkpoint of mmpretrain, mmdet or mmseg',
    )
    parser.add_argument('target', help='file to write')
    parser.add_argument('--to', choices=FORMS, required=True, help='names to write')
    parser.add_argument(
        '--prefix', help='prefix of the network, where the source has several'
    )
    args = parser.parse_args()
    meta = convert(args.source, args.target, args.to, args.prefix)['mmghost_weights']
    print(
        f'{args.target}: {meta["model"]}, width {meta["widen_factor"]}, from '
        f'{meta["origin"]} (sha256 {meta["source_sha256"][:8]}...)'
    )
    if 'dfc' in meta:
        dfc = ', '.join(f'{key}={value!r}' for key, value in meta['dfc'].items())
        print(f'The network needs dfc=dict({dfc}).')


if __name__ == '__main__':
    cli_main(main)
