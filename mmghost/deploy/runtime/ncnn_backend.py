"""ncnn's files, ``.param`` with ``.bin`` beside it, on the CPU."""

from pathlib import Path

import ncnn
import numpy as np

from .runner import Feed


class Network:
    """A file in ncnn, ``.param``."""

    inputs = ('image',)

    def __init__(self, path: str, threads: int | None) -> None:
        self.net = ncnn.Net()
        # On by default: logits are off by 3e-4 of their range, in float32 by 2e-7.
        self.net.opt.use_fp16_packed = False
        self.net.opt.use_fp16_storage = False
        self.net.opt.use_fp16_arithmetic = False
        if threads:
            self.net.opt.num_threads = threads
        weights = str(Path(path).with_suffix('.bin'))
        if self.net.load_param(path) or self.net.load_model(weights):
            raise RuntimeError('ncnn cannot load it')

    def __call__(self, feed: Feed) -> list[np.ndarray]:
        """Compute the outputs in their order."""
        extractor = self.net.create_extractor()
        extractor.input(self.net.input_names()[0], ncnn.Mat(feed['image'][0]).clone())
        found = []
        for name in sorted(self.net.output_names()):  # out0, out1 ...
            code, output = extractor.extract(name)
            if code:
                raise RuntimeError(f'ncnn has no output {name} (code {code})')
            found.append(np.array(output)[None])
        return found
