"""Time exported files of several runtimes by turns: ours, and what others exported.

Each FILE is LABEL=PATH[@RUNTIME][@bf16]; the first one of a batch size is the reference.

Example:
    python -m dev.file_speed timm=timm.onnx ours=out/model.onnx \
        ov=out/model.onnx@openvino@bf16 --size 224 224 --batch 1 --threads 1 2
"""

import argparse
import importlib
import json
from pathlib import Path

import numpy as np

from mmghost.deploy.runtime.runner import choose_backend

from .timing import Clock, interleave, machine, timed


def clock(file: str, threads: int, batch: int, size: list[int]) -> Clock:
    """Return what times a file on random images, without pre- and postprocessing."""
    path, *options = file.split('@')
    settings = {'precision': 'bf16'} if 'bf16' in options else {}
    named = next((option for option in options if option != 'bf16'), None)
    name = f'mmghost.deploy.runtime.{choose_backend(path, named)}_backend'
    network = importlib.import_module(name).Network(path, threads, **settings)
    pixels = np.random.default_rng(0).normal(size=(batch, 3, *size)).astype('float32')
    feed = {network.inputs[0]: pixels}
    return lambda repeats: timed(lambda: network(feed), repeats)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('files', nargs='+', metavar='LABEL=PATH')
    parser.add_argument('--size', nargs=2, type=int, default=[224, 224])
    parser.add_argument('--batch', type=int, default=1, help='images, as in the files')
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--seconds', type=float, default=60, help='for each table')
    args = parser.parse_args()
    files = dict(item.split('=', 1) for item in args.files)
    print(json.dumps(machine()), flush=True)
    for threads in args.threads:
        clocks = {
            label: clock(file, threads, args.batch, args.size)
            for label, file in files.items()
        }
        print(f'\n{args.batch} x {args.size}, {threads} thread(s)\n')
        print('| file | MiB | ms | IQR | speedup | IQR |\n|---|--:|--:|--:|--:|--:|')
        found = interleave(clocks, next(iter(files)), seconds=args.seconds)
        for label, t in found.items():
            path = Path(files[label].split('@')[0])
            beside = path.suffix in ('.xml', '.param')
            weights = [path.with_suffix('.bin')] if beside else []
            parts = [part for part in [path, *weights] if part.exists()]
            mib = sum(part.stat().st_size for part in parts) / 2**20
            print(
                f'| {label} | {mib:.1f} | {t.median:.2f} | {t.low:.2f} to {t.high:.2f} '
                f'| {t.speedup:.2f} | {t.speedup_low:.2f} to {t.speedup_high:.2f} |',
                flush=True,
            )


if __name__ == '__main__':
    main()
