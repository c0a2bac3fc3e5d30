r"""Write the weights of a checkpoint alone, ready to be shared.

Optimizer, schedules and logs are left out, averaged weights (EMA) are preferred, and the
first digits of the file's sha256 become part of its name.

Examples:
    python tools/model_converters/publish_model.py work_dirs/x/epoch_12.pth \
        retinanet_ghostnetv2.pth        # writes retinanet_ghostnetv2-1a2b3c4d.pth
"""

import argparse
import os

from mmghost.errors import cli_main
from mmghost.weights import publish


def main() -> None:
    """Publish a checkpoint as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', help='a checkpoint of any model')
    parser.add_argument('target', help='file to write; its name ends in .pth')
    args = parser.parse_args()
    written = publish(args.source, args.target)
    print(f'{written}: {os.path.getsize(written) / 1e6:.1f} MB')


if __name__ == '__main__':
    cli_main(main)
