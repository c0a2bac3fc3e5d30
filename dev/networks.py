"""The networks that the benchmark compares, in the forms in which they are run.

A network is named ``PACKAGE:NAME``: ``mmghost:ghostnetv2-1.0``, ``timm:NAME`` or
``mmpretrain:NAME``; each is a classifier of 1000 classes with random weights. A form makes
a call without arguments from a network and a batch.

It runs in a :mod:`dev.worker`, which may import mmghost from another checkout, so it uses
only names that mmghost has had from version 1 on.
"""

import copy
import io
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmghost.errors import UserError

from .timing import Call

CHANNELS_LAST = torch.channels_last


def build(name: str) -> nn.Module:
    """Build a network by its name.

    Raises:
        UserError: If there is no such network, or its package is not installed.
    """
    torch.manual_seed(0)
    package, _, model = name.partition(':')
    try:
        if package == 'timm':
            import timm

            return timm.create_model(model)
        if package == 'mmpretrain':
            import mmpretrain

            return mmpretrain.get_model(model, pretrained=False)
    except ImportError as error:
        raise UserError(f'{name}: {error}; install {package}') from error
    except (RuntimeError, ValueError) as error:
        raise UserError(f'{name}: {package} has no such model: {error}') from error
    from mmghost.models import GhostNetClassifier

    version, _, width = model.partition('-')
    kinds = {
        'ghostnetv1': dict(dfc=None),
        'ghostnetv2': {},
        'ghostnetv3': dict(branches=3),
    }
    if package != 'mmghost' or version not in kinds:
        raise UserError(
            f'{name}: networks are named mmghost:ghostnetv2-WIDTH (v1, v3), timm:NAME or '
            'mmpretrain:NAME'
        )
    return GhostNetClassifier(float(width or 1.0), **kinds[version])


def fold(model: nn.Module) -> nn.Module:
    """Return a copy of a network with its batch norms folded, for evaluation.

    Ours by ``switch_to_deploy``; others convolution by convolution in the order of their
    modules, with a check that the outputs stay.

    Raises:
        UserError: If they do not stay.
    """
    model = copy.deepcopy(model).eval()
    if hasattr(model, 'switch_to_deploy'):
        return model.switch_to_deploy()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(x)
    for parent in list(model.modules()):
        last = None
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d:
                last = name, child
            elif isinstance(child, _BatchNorm) and last is not None:
                if last[1].out_channels == child.num_features:
                    setattr(parent, last[0], fuse_conv_bn_eval(last[1], child))
                    # timm's batch norms hold the activation behind them.
                    setattr(parent, name, getattr(child, 'act', nn.Identity()))
                last = None
    with torch.no_grad():
        error = (model(x) - before).abs().max() / before.abs().max()
    if not error < 1e-3:
        raise UserError(
            f'{type(model).__name__} computes something else once its batch norms are '
            f'folded (difference {error:.1e})'
        )
    return model


# Forms of inference. -------------------------------------------------------------------


def eager(model: nn.Module, x: Tensor) -> Call:
    """Run the network as it is built."""
    model = copy.deepcopy(model).eval().to(x.device)

    def call() -> Any:
        with torch.inference_mode():
            return model(x)

    return call


def channels_last(model: nn.Module, x: Tensor) -> Call:
    """Run network and images in channels-last memory format."""
    model = copy.deepcopy(model).to(memory_format=CHANNELS_LAST)
    return eager(model, x.contiguous(memory_format=CHANNELS_LAST))


def folded(model: nn.Module, x: Tensor) -> Call:
    """Run the network with batch norms folded."""
    return eager(fold(model), x)


def deployed(model: nn.Module, x: Tensor) -> Call:
    """Run the network with batch norms folded, in channels-last."""
    return channels_last(fold(model), x)


def compiled(model: nn.Module, x: Tensor) -> Call:
    """Run the deployed network through ``torch.compile`` with freezing."""
    import torch._inductor.config

    model = fold(model).to(x.device, memory_format=CHANNELS_LAST)
    x = x.contiguous(memory_format=CHANNELS_LAST)
    network = torch.compile(model, fullgraph=True)

    def call() -> Any:
        with torch.no_grad():
            return network(x)

    with _many_compilations(), torch._inductor.config.patch(freezing=True):
        call()
    return call


def _many_compilations() -> Any:
    """Raise the limit, which counts the compilations of all networks of a class."""
    import torch._dynamo.config

    return torch._dynamo.config.patch(cache_size_limit=64)


def amp(model: nn.Module, x: Tensor) -> Call:
    """Run in channels-last and mixed precision: float16 on a GPU, bfloat16 on a CPU."""
    call = channels_last(model, x)

    def cast() -> Any:
        with _autocast(x):
            return call()

    return cast


def _autocast(x: Tensor, enabled: bool = True) -> torch.autocast:
    dtype = torch.float16 if x.is_cuda else torch.bfloat16
    return torch.autocast(x.device.type, dtype, enabled)


def _onnx(model: nn.Module, x: Tensor) -> bytes:
    if x.is_cuda:
        raise UserError('measured on the CPU only')
    # Others as their users export them: the runtimes fold batch norms themselves.
    ours = hasattr(model, 'switch_to_deploy')
    model = fold(model) if ours else copy.deepcopy(model).eval()
    file = io.BytesIO()
    # By tracing; torch before 2.5 knows no other exporter, nor the argument.
    tracing = dict(dynamo=False) if torch.__version__ >= (2, 5) else {}
    torch.onnx.export(model, (x,), file, opset_version=17, **tracing)
    return file.getvalue()


def onnxruntime(model: nn.Module, x: Tensor) -> Call:
    """Run the exported network in ONNX Runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        _onnx(model, x), options, providers=['CPUExecutionProvider']
    )
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed)


def openvino(model: nn.Module, x: Tensor) -> Call:
    """Run the exported network in OpenVINO, in float32."""
    import openvino as ov

    core = ov.Core()
    settings = {
        'INFERENCE_NUM_THREADS': torch.get_num_threads(),
        'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_PRECISION_HINT': 'f32',
    }
    network = core.compile_model(core.read_model(_onnx(model, x)), 'CPU', settings)
    request = network.create_infer_request()
    feed = [x.numpy()]
    return lambda: request.infer(feed)


# Forms of training. --------------------------------------------------------------------


def step(
    model: nn.Module, x: Tensor, compiled: bool = False, amp: bool = False
) -> Call:
    """Run a training step: forward, backward, SGD with momentum."""
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

    with _many_compilations():
        call()
    return call


def step_channels_last(model: nn.Module, x: Tensor, **settings: bool) -> Call:
    """Run a training step in channels-last memory format."""
    model = copy.deepcopy(model).to(memory_format=CHANNELS_LAST)
    return step(model, x.contiguous(memory_format=CHANNELS_LAST), **settings)


def step_compiled(model: nn.Module, x: Tensor) -> Call:
    """Run a compiled training step in channels-last."""
    return step_channels_last(model, x, compiled=True)


def step_amp(model: nn.Module, x: Tensor) -> Call:
    """Run a training step in channels-last and mixed precision."""
    return step_channels_last(model, x, amp=True)


FORMS = {
    'infer': {
        'eager': eager,
        'channels-last': channels_last,
        'folded': folded,
        'deployed': deployed,
        'compiled': compiled,
        'onnxruntime': onnxruntime,
        'openvino': openvino,
        'amp': amp,
    },
    'train': {
        'eager': step,
        'channels-last': step_channels_last,
        'compiled': step_compiled,
        'amp': step_amp,
    },
}


def prepare(
    name: str, form: str, mode: str, batch: int, size: int, device: str = 'cpu'
) -> Call:
    """Return the call that runs a network in a form on random images.

    Args:
        name: See :func:`build`.
        form: A key of ``FORMS[mode]``.
        mode: ``'infer'`` or ``'train'``.
        batch: Number of images.
        size: Height and width of the images in px.
        device: ``'cpu'`` or ``'cuda'``.

    Raises:
        UserError: If the network cannot be had in this form.
        ImportError: If the runtime is not installed.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 3, size, size, generator=generator).to(device)
    call = FORMS[mode][form](build(name), x)
    if not x.is_cuda:
        return call

    def finished() -> None:
        call()
        torch.cuda.synchronize()

    return finished
