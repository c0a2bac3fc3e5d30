"""ONNX files in ONNX Runtime, on the CPU."""

import onnxruntime

from .runner import Feed


class Network:
    """A file in ONNX Runtime, ``.onnx``."""

    def __init__(self, path: str, threads: int | None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; warnings are about its own rewriting
        options.intra_op_num_threads = threads or 0
        self.session = onnxruntime.InferenceSession(
            path, options, providers=['CPUExecutionProvider']
        )
        self.inputs = [entry.name for entry in self.session.get_inputs()]
        self.outputs = [entry.name for entry in self.session.get_outputs()]
        self.properties = self.session.get_modelmeta().custom_metadata_map

    def __call__(self, feed: Feed) -> Feed:
        """Compute the outputs by name."""
        return dict(zip(self.outputs, self.session.run(self.outputs, feed)))
