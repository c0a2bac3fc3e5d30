"""LiteRT's files (TensorFlow Lite), on the CPU."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from .runner import Feed


class Network:
    """A file in LiteRT, ``.tflite``."""

    inputs = ('image',)

    def __init__(self, path: str, threads: int | None) -> None:
        self.interpreter = Interpreter(path, num_threads=threads)
        self.interpreter.allocate_tensors()

    def __call__(self, feed: Feed) -> list[np.ndarray]:
        """Compute the outputs in their order."""
        (entry,) = self.interpreter.get_input_details()
        self.interpreter.set_tensor(entry['index'], feed['image'])
        self.interpreter.invoke()
        return [
            self.interpreter.get_tensor(output['index'])
            for output in self.interpreter.get_output_details()
        ]
