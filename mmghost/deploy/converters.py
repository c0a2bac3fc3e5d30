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

import torch
import torch.nn as nn
from torch import Tensor

from ..errors import UserError
from .portable import exact_nearest

# The converter of LiteRT pins packages that mmpretrain cannot be imported with: it runs
# in an environment of its own.
LITERT_PYTHON = 'MMGHOST_LITERT_PYTHON'
LITERT_SCRIPT = """
import sys, torch, litert_torch
program = torch.export.load(sys.argv[1])
image = torch.load(sys.argv[2])
litert_torch.convert(program.module(), (image,)).export(sys.argv[3])
"""


def to_ncnn(graph: nn.Module, image: Tensor, path: str) -> None:
    """Convert with pnnx: ``path`` ends in ``.param``, ``.bin`` is written beside it."""
    import pnnx

    with TemporaryDirectory() as folder:
        with exact_nearest(), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch.jit is deprecated, pnnx reads it
            traced = torch.jit.trace(graph, image, check_trace=False)
        traced.save(f'{folder}/graph.pt')
        shape = ','.join(map(str, image.shape))
        command = [pnnx.EXEC_PATH, 'graph.pt', f'inputshape=[{shape}]', 'fp16=0']
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode or not Path(folder, 'graph.ncnn.param').exists():
            raise UserError(f'pnnx failed: {done.stderr.strip()[-2000:]}')
        target = Path(path)
        shutil.copy(f'{folder}/graph.ncnn.param', target)
        shutil.copy(f'{folder}/graph.ncnn.bin', target.with_suffix('.bin'))


def to_executorch(graph: nn.Module, image: Tensor, path: str) -> None:
    """Convert with ExecuTorch, for XNNPACK."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
        XnnpackPartitioner,
    )
    from executorch.exir import to_edge_transform_and_lower

    program = exported(graph, image)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    Path(path).write_bytes(lowered.to_executorch().buffer)


def check_litert() -> None:
    """Check that there is an environment with LiteRT's converter.

    Raises:
        UserError: If there is none.
    """
    python = os.environ.get(LITERT_PYTHON)
    if not importlib.util.find_spec('litert_torch') and not (
        python and Path(python).exists()
    ):
        raise UserError(
            'litert needs the converter litert-torch in an environment of its own, since '
            'it breaks the import of mmpretrain:\n'
            '  python -m venv litert-env && litert-env/bin/pip install litert-torch\n'
            f'  export {LITERT_PYTHON}=$PWD/litert-env/bin/python'
        )


def to_litert(graph: nn.Module, image: Tensor, path: str) -> None:
    """Convert with litert-torch, in the environment of ``MMGHOST_LITERT_PYTHON``."""
    python = os.environ.get(LITERT_PYTHON, sys.executable)
    with TemporaryDirectory() as folder:
        # Functional: the constants of a box coder are written in place.
        program = exported(graph, image).run_decompositions({})
        files = [f'{folder}/graph.pt2', f'{folder}/image.pt', path]
        torch.export.save(program, files[0])
        torch.save(image, files[1])
        command = [python, '-c', LITERT_SCRIPT, *files]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f'litert-torch failed: {done.stderr.strip()[-2000:]}')


def exported(graph: nn.Module, image: Tensor) -> torch.export.ExportedProgram:
    """Return a graph as torch.export writes it, for the size of ``image``."""
    with exact_nearest(), torch.no_grad():
        return torch.export.export(graph, (image,))


CONVERTERS: dict[str, Callable[[nn.Module, Tensor, str], None]] = dict(
    ncnn=to_ncnn, litert=to_litert, executorch=to_executorch
)
