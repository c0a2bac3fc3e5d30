"""ExecuTorch's files, on the CPU; its Python runtime takes tensors of torch."""

import numpy as np
import torch
from executorch.runtime import Runtime

from .runner import Feed


class Network:
    """A file in ExecuTorch, ``.pte``; ``threads`` is left to its own thread pool."""

    inputs = ('image',)

    def __init__(self, path: str, threads: int | None) -> None:
        self.program = Runtime.get().load_program(path)
        self.method = self.program.load_method('forward')

    def __call__(self, feed: Feed) -> list[np.ndarray]:
        """Compute the outputs in their order."""
        found = self.method.execute([torch.from_numpy(feed['image'])])
        return [output.numpy().copy() for output in found]
