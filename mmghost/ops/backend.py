"""What all stand-ins share: access to torchvision's operators and mmcv's arithmetic."""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


@functools.cache
def torchvision_ops() -> object:
    """Load torchvision and return ``torch.ops.torchvision``.

    Raises:
        ImportError: torchvision is missing, or was built for another torch.
    """
    try:
        import torchvision  # noqa: F401  (registers the operators)

        namespace = torch.ops.torchvision
        namespace.nms  # noqa: B018  (AttributeError where the C++ part is missing)
    except Exception as error:
        raise ImportError(
            "mmghost's stand-ins for mmcv's operators need a torchvision built for "
            f'torch {torch.__version__}, and importing it failed: {error}. Install the '
            'matching pair, for example '
            '`pip install torch==2.14.1 torchvision==0.29.1`.'
        ) from error
    return namespace


def widen(tensor: Tensor) -> Tensor:
    """Return the tensor in a precision to compute in: half precisions as float32."""
    half = tensor.dtype in (torch.float16, torch.bfloat16)
    return tensor.float() if half else tensor


def single(value: float) -> float:
    """Round a number to float32, as mmcv's C++ interface does with its arguments.

    It matters where a value is compared: 0.3 and its float32 neighbour 0.30000001 lie
    on different sides of an overlap of exactly 3/10.
    """
    return float(np.float32(value))


@contextlib.contextmanager
def tolerate_nondeterminism(tensor: Tensor) -> Iterator[None]:
    """Let an operator run that torch refuses under deterministic algorithms.

    mmcv's CUDA kernels add gradients up in any order and run all the same when
    ``randomness=dict(deterministic=True)`` is set; torchvision's raise there. Inside
    this context torch warns instead.
    """
    strict = (
        tensor.is_cuda
        and torch.are_deterministic_algorithms_enabled()
        and not torch.is_deterministic_algorithms_warn_only_enabled()
    )
    if not strict:
        yield
        return
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True)
