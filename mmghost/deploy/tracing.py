"""Export to ONNX by tracing, on every torch."""

from typing import Any

import torch
import torch.nn as nn
from torch import Tensor


def export_by_tracing(
    model: nn.Module,
    inputs: tuple[Tensor, ...],
    file: Any,
    opset: int = 17,
    **more: Any,
) -> None:
    """Export a module to ONNX with the exporter that traces it.

    The other one, the default from torch 2.9 on, needs a further package.

    Args:
        model: The module.
        inputs: What it is called with.
        file: A path, or a file opened for bytes.
        opset: Version of ONNX's operators.
        **more: Further arguments of :func:`torch.onnx.export`.
    """
    # Older versions know no other exporter, nor the argument that chooses one.
    tracing = dict(dynamo=False) if torch.__version__ >= (2, 5) else {}
    torch.onnx.export(model, inputs, file, opset_version=opset, **tracing, **more)
