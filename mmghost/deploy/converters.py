"""The converters of each runtime: from a graph to a file."""

import importlib.util
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from torch import Tensor

from ..errors import UserError
from .graphs import Graph
from .portable import exact_nearest
from .runtime.metadata import KEY, ModelMetadata

OPSET = 17  # the newest of torch 2.1; RoiAlign needs 16
Inputs = tuple[Tensor, ...]
Convert = Callable[[nn.Module, Inputs, str, ModelMetadata, int], None]
# The converter of LiteRT pins packages that mmpretrain cannot be imported with: it runs
# in an environment of its own.
LITERT_PYTHON = 'MMGHOST_LITERT_PYTHON'
LITERT_SCRIPT = """
import sys, torch, litert_torch
program = torch.export.load(sys.argv[1])
image = torch.load(sys.argv[2])
litert_torch.convert(program.module(), (image,)).export(sys.argv[3])
"""


def to_onnx(
    graph: Graph, inputs: Inputs, path: str, metadata: ModelMetadata, opset: int
) -> None:
    """Trace a graph into an ONNX file, with its metadata.

    torch's exporter that traces is in every torch from 2.1 on. The newer one, by
    torch.export, must prove what holds for every size, and cannot for phases (see
    docs/deployment.md).
    """
    axes = {**graph.inputs, **graph.outputs}
    if metadata.size is not None:  # the original image is of any size
        axes = {
            name: {axis: what for axis, what in free.items() if 'original' in what}
            for name, free in axes.items()
        }
    # Older versions have no other exporter, nor the argument that chooses one.
    tracing = dict(dynamo=False) if torch.__version__ >= (2, 5) else {}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about traces, which are compared afterwards
        torch.onnx.export(
            graph,
            inputs,
            path,
            opset_version=opset,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=axes,
            **tracing,
        )
    write_metadata(path, metadata)


def write_metadata(path: str, metadata: ModelMetadata) -> None:
    """Write the metadata into an ONNX file, or beside a file of another kind."""
    if not path.endswith('.onnx'):
        Path(f'{path}.json').write_text(metadata.to_json(), encoding='utf-8')
        return
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: metadata.to_json()})
    onnx.save(model, path)


def to_openvino(
    graph: Graph, inputs: Inputs, path: str, metadata: ModelMetadata, opset: int
) -> None:
    """Convert an ONNX file of the graph to OpenVINO's own form."""
    import openvino

    with TemporaryDirectory() as folder:
        to_onnx(graph, inputs, f'{folder}/graph.onnx', metadata, opset)
        model = openvino.convert_model(f'{folder}/graph.onnx')
        openvino.save_model(model, path, compress_to_fp16=False)


def to_ncnn(graph: nn.Module, inputs: Inputs, path: str, *_: Any) -> None:
    """Convert with pnnx: ``path`` ends in ``.param``, ``.bin`` is written beside it."""
    import pnnx

    with TemporaryDirectory() as folder:
        with exact_nearest(), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch.jit is deprecated, pnnx reads it
            traced = torch.jit.trace(graph, inputs, check_trace=False)
        traced.save(f'{folder}/graph.pt')
        shape = ','.join(map(str, inputs[0].shape))
        command = [pnnx.EXEC_PATH, 'graph.pt', f'inputshape=[{shape}]', 'fp16=0']
        run(command, folder)
        shutil.copy(f'{folder}/graph.ncnn.param', path)
        shutil.copy(f'{folder}/graph.ncnn.bin', Path(path).with_suffix('.bin'))


def to_executorch(graph: nn.Module, inputs: Inputs, path: str, *_: Any) -> None:
    """Convert with ExecuTorch, for XNNPACK."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
        XnnpackPartitioner,
    )
    from executorch.exir import to_edge_transform_and_lower

    program = exported(graph, inputs)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    Path(path).write_bytes(lowered.to_executorch().buffer)


def to_litert(graph: nn.Module, inputs: Inputs, path: str, *_: Any) -> None:
    """Convert with litert-torch, in the environment of ``MMGHOST_LITERT_PYTHON``."""
    with TemporaryDirectory() as folder:
        # Functional: the constants of a box coder are written in place.
        program = exported(graph, inputs).run_decompositions({})
        torch.export.save(program, f'{folder}/graph.pt2')
        torch.save(inputs[0], f'{folder}/image.pt')
        run_litert(LITERT_SCRIPT, f'{folder}/graph.pt2', f'{folder}/image.pt', path)


def run_litert(script: str, *args: str) -> None:
    """Run a script in the environment of LiteRT's converter."""
    run([os.environ.get(LITERT_PYTHON, sys.executable), '-c', script, *args])


def run(command: list[str], folder: str | None = None) -> None:
    """Run a converter, and report what it says if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f'the converter failed: {done.stderr.strip()[-2000:]}')


def exported(graph: nn.Module, inputs: Inputs) -> torch.export.ExportedProgram:
    """Return a graph as torch.export writes it, for the size of ``inputs``."""
    with exact_nearest(), torch.no_grad():
        return torch.export.export(graph, inputs)


class Target(NamedTuple):
    """A runtime that files are written for.

    Args:
        file: Name of the file.
        convert: Writes it: graph, inputs, path, metadata, opset.
        packages: What must be installed.
        portable: Whether it takes one image of one size and leaves NMS and the resizing
            of logits to the runtime, see :class:`.portable.PortableGraph`.
        branches: Whether phases are branches: ncnn has no batch, LiteRT is faster so.
        padded: Whether channels are padded in files of one size, see :mod:`.padding`.
    """

    file: str
    convert: Convert
    packages: tuple[str, ...]
    portable: bool = False
    branches: bool = False
    padded: bool = False


TARGETS = dict(
    onnx=Target('model.onnx', to_onnx, ('onnx', 'onnxruntime'), padded=True),
    openvino=Target('model.xml', to_openvino, ('onnx', 'openvino')),
    ncnn=Target('model.ncnn.param', to_ncnn, ('ncnn', 'pnnx'), True, branches=True),
    litert=Target('model.tflite', to_litert, ('ai-edge-litert',), True, branches=True),
    executorch=Target('model.pte', to_executorch, ('executorch',), True),
)


def check_packages(target: str) -> None:
    """Check that the packages of a target are installed.

    Raises:
        UserError: If one is not.
    """
    missing = [
        name
        for name in TARGETS[target].packages
        if not importlib.util.find_spec(name.replace('-', '_'))
    ]
    if missing:
        raise UserError(
            f'{target} needs {" and ".join(missing)}: pip install {" ".join(missing)}'
        )
    there = importlib.util.find_spec('litert_torch')
    there = there or Path(os.environ.get(LITERT_PYTHON, '')).is_file()
    if target == 'litert' and not there:
        raise UserError(
            'litert needs the converter litert-torch in an environment of its own, since '
            'it breaks the import of mmpretrain:\n'
            '  python -m venv litert-env && litert-env/bin/pip install litert-torch\n'
            f'  export {LITERT_PYTHON}=$PWD/litert-env/bin/python'
        )
