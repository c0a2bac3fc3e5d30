"""The networks that a benchmark compares, in the forms in which they are run.

A network is named ``PACKAGE:NAME``: ``mmghost:ghostnetv2-1.0``, ``timm:NAME`` or
``mmpretrain:NAME``. Every one is a classifier of 1000 classes with random weights; speed
does not depend on what the weights are.
"""

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..deploy.fusion import fold, folded_conv
from ..deploy.tracing import export_by_tracing
from ..errors import UserError
from ..models import GhostNetClassifier
from .complexity import complexity

REFERENCE = 'timm:ghostnetv2_100'
MODELS = (
    REFERENCE,
    'mmghost:ghostnetv2-1.0',
    'timm:mobilenetv3_large_100',
    'timm:mobilenetv2_100',
    'mmpretrain:mobilenet-v3-large_8xb128_in1k',
    'mmpretrain:mobilenet-v2_8xb32_in1k',
)
CHANNELS_LAST = torch.channels_last


def build(name: str) -> nn.Module:
    """Build a network by its name.

    Raises:
        UserError: If there is no such network, or its package is not installed.
    """
    package, _, model = name.partition(':')
    try:
        if package == 'timm':
            import timm

            return timm.create_model(model)
        if package == 'mmpretrain':
            import mmpretrain

            return mmpretrain.get_model(model, pretrained=False)
    except ImportError as error:
        raise UserError(f'{name}: {error}; install {package}') from None
    except (RuntimeError, ValueError) as error:
        raise UserError(f'{name}: {package} has no such model: {error}') from None
    version, _, width = model.partition('-')
    if package != 'mmghost' or version not in ('ghostnetv1', 'ghostnetv2'):
        raise UserError(
            f'{name}: models are named mmghost:ghostnetv2-WIDTH, '
            'mmghost:ghostnetv1-WIDTH, timm:NAME or mmpretrain:NAME'
        )
    dfc = {} if version == 'ghostnetv2' else dict(dfc=None)
    return GhostNetClassifier(float(width or 1.0), **dfc)


def deployed(model: nn.Module) -> nn.Module:
    """Fold a network's batch norms, as far as its package or PyTorch has a way.

    Ours by ``switch_to_deploy``; others convolution by convolution in the order of their
    modules, with a check that the numbers stay.

    Raises:
        UserError: If they do not stay.
    """
    model = copy.deepcopy(model).eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(x)
    if isinstance(model, GhostNetClassifier):
        model.switch_to_deploy()
    else:
        fold(model)
        _fold_in_order(model)
    with torch.no_grad():
        error = (model(x) - before).abs().max() / before.abs().max()
    if not error < 1e-3:
        raise UserError(
            f'{type(model).__name__} computes something else once its batch norms are '
            f'folded (difference {error:.1e})'
        )
    return model


def _fold_in_order(model: nn.Module) -> None:
    """Fold each batch norm that is registered right behind its convolution."""
    for parent in list(model.modules()):
        last: tuple[nn.Module, str] | None = None
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d:
                last = (parent, name)
            elif isinstance(child, _BatchNorm) and last is not None:
                conv = getattr(*last)
                if conv.out_channels == child.num_features:
                    setattr(*last, folded_conv(conv, child))
                    # timm's batch norm layers hold the activation behind them.
                    setattr(parent, name, getattr(child, 'act', nn.Identity()))
                last = None


# Forms of inference: each makes a call without arguments. ------------------------------

Call = Callable[[], Any]


def _eager(model: nn.Module, x: Tensor) -> Call:
    model = copy.deepcopy(model).eval()

    def call() -> Any:
        with torch.inference_mode():
            return model(x)

    return call


def _channels_last(model: nn.Module, x: Tensor) -> Call:
    model = copy.deepcopy(model).to(memory_format=CHANNELS_LAST)
    return _eager(model, x.contiguous(memory_format=CHANNELS_LAST))


def _deployed(model: nn.Module, x: Tensor) -> Call:
    return _channels_last(deployed(model), x)


def _compiled(model: nn.Module, x: Tensor) -> Call:
    import torch._inductor.config

    model = deployed(model).to(memory_format=CHANNELS_LAST)
    x = x.contiguous(memory_format=CHANNELS_LAST)
    whole = torch.compile(model, fullgraph=True)

    def call() -> Any:
        with torch.no_grad():
            return whole(x)

    with _many_compilations(), torch._inductor.config.patch(freezing=True):
        call()
    return call


def _many_compilations() -> Any:
    """Raise the limit, which counts the compilations of all networks of a class."""
    import torch._dynamo.config

    return torch._dynamo.config.patch(cache_size_limit=64)


def export(model: nn.Module, x: Tensor) -> bytes:
    """Export a network to ONNX, as it is and for one size, by tracing."""
    file = io.BytesIO()
    export_by_tracing(model.eval(), (x,), file)
    return file.getvalue()


def _onnx(model: nn.Module, x: Tensor) -> bytes:
    # Others as their users export them: the runtimes fold batch norms themselves.
    ours = isinstance(model, GhostNetClassifier)
    return export(deployed(model) if ours else copy.deepcopy(model), x)


def _onnxruntime(model: nn.Module, x: Tensor) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        _onnx(model, x), options, providers=['CPUExecutionProvider']
    )
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed)


def _openvino(model: nn.Module, x: Tensor) -> Call:
    import openvino

    core = openvino.Core()
    network = core.read_model(_onnx(model, x))
    settings = {
        'INFERENCE_NUM_THREADS': torch.get_num_threads(),
        'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_PRECISION_HINT': 'f32',
    }
    request = core.compile_model(network, 'CPU', settings).create_infer_request()
    feed: list[np.ndarray] = [x.numpy()]
    return lambda: request.infer(feed)


INFERENCE = {
    'eager': _eager,
    'channels-last': _channels_last,
    'deployed': _deployed,
    'compiled': _compiled,
    'onnxruntime': _onnxruntime,
    'openvino': _openvino,
}


# Forms of training. --------------------------------------------------------------------


def _step(model: nn.Module, x: Tensor, compiled: bool = False) -> Call:
    model = copy.deepcopy(model).train()
    network = torch.compile(model) if compiled else model
    labels = torch.arange(len(x)) % 1000
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def call() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()

    # Weights and momentum; gradients are made anew in each step.
    call.held = 2 * sum(p.numel() * p.element_size() for p in model.parameters())
    return call


def _step_channels_last(model: nn.Module, x: Tensor) -> Call:
    model = copy.deepcopy(model).to(memory_format=CHANNELS_LAST)
    return _step(model, x.contiguous(memory_format=CHANNELS_LAST))


def _step_compiled(model: nn.Module, x: Tensor) -> Call:
    model = copy.deepcopy(model).to(memory_format=CHANNELS_LAST)
    call = _step(model, x.contiguous(memory_format=CHANNELS_LAST), compiled=True)
    with _many_compilations():
        call()
    return call


TRAINING = {
    'eager': _step,
    'channels-last': _step_channels_last,
    'compiled': _step_compiled,
}
MODES = {'infer': INFERENCE, 'train': TRAINING}


def macs(model: nn.Module, size: int) -> int:
    """Count a network's multiply-accumulates for a square picture."""
    return complexity(model, (size, size)).macs
