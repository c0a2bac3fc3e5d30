"""The networks that a benchmark compares, in the forms in which they are run.

A network is named ``PACKAGE:NAME``: ``mmghost:ghostnetv2-1.0``, ``timm:NAME`` or
``mmpretrain:NAME``. Every one is a classifier of 1000 classes with random weights; speed
does not depend on what the weights are.
"""

import copy
import functools
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
    model = copy.deepcopy(model).eval().to(x.device)

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

    model = deployed(model).to(x.device, memory_format=CHANNELS_LAST)
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


def _amp(model: nn.Module, x: Tensor) -> Call:
    return _in_half(_channels_last(model, x), x)


def _autocast(x: Tensor, enabled: bool = True) -> torch.autocast:
    """Mixed precision: in float16 on a GPU, in bfloat16 on a CPU."""
    dtype = torch.float16 if x.is_cuda else torch.bfloat16
    return torch.autocast(x.device.type, dtype, enabled)


def _in_half(call: Call, x: Tensor) -> Call:
    def cast() -> Any:
        with _autocast(x):
            return call()

    return cast


def _cuda_graph(model: nn.Module, x: Tensor) -> Call:
    return _captured(_deployed(model, x), x)


def _cuda_graph_amp(model: nn.Module, x: Tensor) -> Call:
    return _captured(_in_half(_deployed(model, x), x), x)


def _captured(call: Call, x: Tensor) -> Call:
    """Record all that a call launches on the GPU, to launch it again at once."""
    if not x.is_cuda:
        raise UserError('a CUDA graph needs --device cuda')
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # cuDNN chooses its algorithms before the recording
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = call()

    def replay() -> Any:
        graph.replay()
        return out

    return replay


def synchronised(call: Call) -> Call:
    """Let a call end when the GPU has done what it was given."""

    def whole() -> Any:
        out = call()
        torch.cuda.synchronize()
        return out

    whole.held = getattr(call, 'held', 0)
    return whole


def export(model: nn.Module, x: Tensor) -> bytes:
    """Export a network to ONNX, as it is and for one size, by tracing."""
    file = io.BytesIO()
    export_by_tracing(model.eval(), (x,), file)
    return file.getvalue()


def _onnx(model: nn.Module, x: Tensor) -> bytes:
    if x.is_cuda:
        raise UserError('measured on the CPU only')
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
    'amp': _amp,
    'cuda-graph': _cuda_graph,
    'cuda-graph-amp': _cuda_graph_amp,
}


# Forms of training. --------------------------------------------------------------------


def _step(
    model: nn.Module, x: Tensor, compiled: bool = False, amp: bool = False
) -> Call:
    model = copy.deepcopy(model).train().to(x.device)
    network = torch.compile(model) if compiled else model
    labels = torch.arange(len(x), device=x.device) % 1000
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    # torch 2.1 has it in another place.
    scaler = getattr(torch.amp, 'GradScaler', torch.cuda.amp.GradScaler)
    scaler = scaler(enabled=amp and x.is_cuda)  # bfloat16 needs none

    def call() -> None:
        optimizer.zero_grad()
        with _autocast(x, amp):
            loss = F.cross_entropy(network(x), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    # Weights and momentum; gradients are made anew in each step.
    call.held = 2 * sum(p.numel() * p.element_size() for p in model.parameters())
    return call


def _step_channels_last(model: nn.Module, x: Tensor, **settings: bool) -> Call:
    model = copy.deepcopy(model).to(memory_format=CHANNELS_LAST)
    return _step(model, x.contiguous(memory_format=CHANNELS_LAST), **settings)


def _step_compiled(model: nn.Module, x: Tensor, amp: bool = False) -> Call:
    call = _step_channels_last(model, x, compiled=True, amp=amp)
    with _many_compilations():
        call()
    return call


TRAINING = {
    'eager': _step,
    'channels-last': _step_channels_last,
    'compiled': _step_compiled,
    'amp': functools.partial(_step_channels_last, amp=True),
    'compiled-amp': functools.partial(_step_compiled, amp=True),
}
MODES = {'infer': INFERENCE, 'train': TRAINING}

# What is compared on each device, if nothing else is asked for.
FORMS = {
    'cpu': {
        'infer': (
            'eager', 'channels-last', 'deployed', 'compiled', 'onnxruntime', 'openvino',
        ),
        'train': ('eager', 'channels-last', 'compiled'),
    },
    'cuda': {
        'infer': (
            'eager', 'channels-last', 'deployed', 'compiled', 'amp', 'cuda-graph',
            'cuda-graph-amp',
        ),
        'train': tuple(TRAINING),
    },
}  # fmt: skip


def macs(model: nn.Module, size: int) -> int:
    """Count a network's multiply-accumulates for a square picture."""
    return complexity(model, (size, size)).macs
