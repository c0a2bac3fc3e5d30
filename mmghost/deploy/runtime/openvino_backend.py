"""ONNX files, and OpenVINO's own, in OpenVINO on the CPU."""

from typing import Any

import openvino

from .runner import Feed


class Network:
    """A file in OpenVINO, ``.onnx`` or ``.xml``."""

    def __init__(self, path: str, threads: int | None, precision: str = 'f32') -> None:
        core = openvino.Core()
        model = core.read_model(path)
        # The metadata of an ONNX file are kept below `framework`.
        known = model.has_rt_info(['framework'])
        self.properties = model.get_rt_info(['framework']).value if known else {}
        # On CPUs that have bfloat16, it is the default.
        settings: dict[str, Any] = {'INFERENCE_PRECISION_HINT': precision}
        if threads:
            settings['INFERENCE_NUM_THREADS'] = threads
        self.model = core.compile_model(model, 'CPU', settings)
        self.inputs = [own_name(port) for port in self.model.inputs]
        self.outputs = [own_name(port) for port in self.model.outputs]

    def __call__(self, feed: Feed) -> Feed:
        """Compute the outputs by name."""
        found = self.model(feed)
        return {name: found[name] for name in self.outputs}


def own_name(port: Any) -> str:
    """Return the name that an input or output has in the file.

    Where OpenVINO removes a node, such as a cast to the same type, the tensor takes over
    the node's name beside its own; those of torch's exporter begin with a slash.
    """
    return min(port.names, key=lambda name: (name.startswith('/'), name))
