"""The promises, one function each: it returns where the promise is kept.

A function takes a :class:`~tests.contract.backbones.Backbone` and raises where the
promise is broken: AssertionError with what was found, or whatever the backbone itself
raised. ``Lacking`` says that the backbone has no such argument.
"""

import copy
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from tests.contract.backbones import Backbone, Lacking
from tests.helpers import picture, randomise, relative_error

PROMISES: dict[str, Callable[[Backbone], None]] = {}

REFUSALS = (ValueError, TypeError, AssertionError)
# Another order of the same sums in float32, over some hundred layers.
SAME = 1e-4


def promise(words: str):
    """Enter a function under the words that the table shows."""

    def enter(function: Callable[[Backbone], None]) -> Callable[[Backbone], None]:
        PROMISES[words] = function
        return function

    return enter


def forward(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Run a model without gradients."""
    with torch.no_grad():
        return model(x)


def built(backbone: Backbone, **arguments) -> nn.Module:
    """Build one in evaluation mode, also where eval() returns nothing."""
    model = backbone.build(**arguments)
    model.eval()
    return model


def built_random(backbone: Backbone) -> nn.Module:
    """Build one with weights and statistics that matter, in evaluation mode."""
    model = randomise(backbone.build())
    model.eval()
    return model


def loss_of(outs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """A number to which every output contributes."""
    return sum(out.square().mean() for out in outs)


def assert_same(found, wanted, tolerance: float = SAME) -> None:
    """Compare two tuples of maps."""
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        error = relative_error(a, b)
        assert error <= tolerance, f'outputs differ by {error:.1g}'


def statistics_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copy the running statistics of all batch norms."""
    return {
        f'{name}.{part}': getattr(module, part).clone()
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        for part in ('running_mean', 'running_var')
    }


def names(found) -> str:
    """Shorten a list of names for a message."""
    found = sorted(found)
    return f'{len(found)}: {", ".join(found[:2])}{" ..." if len(found) > 2 else ""}'


# Outputs ------------------------------------------------------------------------------


@promise('a tuple of maps, for a single one too')
def returns_a_tuple(backbone: Backbone) -> None:
    """Necks and heads index the result."""
    for taps in (backbone.taps, backbone.taps[-1:]):
        outs = forward(built(backbone, out_indices=taps), picture(1, 3, 64, 64))
        assert isinstance(outs, tuple), f'{type(outs).__name__} for {taps}'
        assert len(outs) == len(taps), f'{len(outs)} maps for {taps}'
        assert all(out.ndim == 4 for out in outs)


@promise('`out_indices`: list, tuple, int and negative')
def every_form_of_out_indices(backbone: Backbone) -> None:
    """All forms that configs use for the same maps give the same shapes."""

    def shapes(out_indices):
        model = built(backbone, out_indices=out_indices)
        return [tuple(out.shape) for out in forward(model, picture(1, 3, 64, 64))]

    wanted = shapes(tuple(backbone.taps))
    assert shapes(list(backbone.taps)) == wanted
    assert shapes([i - backbone.stages for i in backbone.taps]) == wanted, 'negative'
    assert shapes(backbone.taps[-1]) == wanted[-1:], 'int'


@promise('wrong `out_indices` refused when built')
def refuses_out_indices(backbone: Backbone) -> None:
    """Not an empty result, nor an AttributeError at the first picture."""
    for wrong in ((backbone.stages,), (-backbone.stages - 1,), (), 'all'):
        refused(backbone, out_indices=wrong)


@promise('wrong `frozen_stages` refused when built')
def refuses_frozen_stages(backbone: Backbone) -> None:
    """Also one past the last stage."""
    for wrong in (backbone.stages + 1, -2, 'all'):
        refused(backbone, frozen_stages=wrong)


def refused(backbone: Backbone, **wrong) -> None:
    """Assert that building it raises an error that one can understand."""
    try:
        backbone.build(**wrong)
    except REFUSALS:
        return
    except Lacking:
        raise
    except Exception as error:
        raise AssertionError(f'{wrong}: {type(error).__name__}') from error
    raise AssertionError(f'takes {wrong}')


@promise('any size from 1x1 px')
def any_size(backbone: Backbone) -> None:
    """Odd, oblong and tiny pictures, in evaluation."""
    model = built(backbone)
    for size in ((97, 65), (31, 200), (33, 32), (3, 2), (1, 1)):
        try:
            outs = forward(model, picture(1, 3, *size))
        except Exception as error:
            raise AssertionError(f'{size[0]}x{size[1]}: {short(error)}') from error
        assert all(out.isfinite().all() for out in outs), size


def short(error: Exception) -> str:
    """Give the first line of an error, cut to what a table can show."""
    lines = str(error).strip().splitlines() or ['']
    text = lines[0] if len(lines[0]) <= 110 else f'{lines[0][:107]}...'
    return (
        text if isinstance(error, AssertionError) else f'{type(error).__name__}: {text}'
    )


@promise('an empty batch')
def empty_batch(backbone: Backbone) -> None:
    """Two-stage detectors may have nothing to look at."""
    outs = forward(built(backbone), torch.zeros(0, 3, 64, 64))
    assert all(out.shape[0] == 0 for out in outs)


# Training -----------------------------------------------------------------------------


@promise('frozen from `__init__` on, without a gradient')
def frozen_from_the_start(backbone: Backbone) -> None:
    """A model is wrapped and its optimizer built before train() is called."""
    model = backbone.build(frozen_stages=backbone.frozen)
    before = {n for n, p in model.named_parameters() if not p.requires_grad}
    model.train()
    after = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert after, 'nothing is frozen'
    assert before == after, f'only train() freezes {names(after - before)}'
    loss_of(model(picture(2, 3, 64, 64))).backward()
    moved = [
        n for n, p in model.named_parameters() if n in after and p.grad is not None
    ]
    assert not moved


@promise('frozen stages: BN statistics stand still')
def frozen_statistics(backbone: Backbone) -> None:
    """A frozen layer computes tomorrow what it computes today."""
    model = backbone.build(frozen_stages=backbone.frozen)
    model.train()
    frozen = {
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and not module.weight.requires_grad
    }
    assert frozen, 'nothing is frozen'
    before = statistics_of(model)
    model(picture(2, 3, 64, 64))
    after = statistics_of(model)
    moved = {
        name.rpartition('.')[0]
        for name, value in before.items()
        if not torch.equal(value, after[name])
    }
    assert not moved & frozen, f'moving: {names(moved & frozen)}'


@promise('frozen stages under DDP')
def frozen_under_ddp(backbone: Backbone) -> None:
    """Three steps, without find_unused_parameters."""
    steps_under_ddp(backbone.build(frozen_stages=backbone.frozen))


@promise('all maps, or any single one, under DDP')
def outputs_under_ddp(backbone: Backbone) -> None:
    """No parameter is built that no output needs."""
    for taps in (backbone.taps, *((i,) for i in backbone.taps)):
        model = backbone.build(out_indices=taps)
        model.train()
        loss_of(model(picture(2, 3, 64, 64))).backward()
        idle = [n for n, p in model.named_parameters() if p.grad is None]
        assert not idle, f'{taps}: no gradient for {names(idle)}'
    steps_under_ddp(backbone.build())


def steps_under_ddp(model: nn.Module) -> None:
    """Train three steps in a group of one process, which DDP checks like any other."""
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(
            'gloo', init_method=f'file://{Path(folder) / "store"}', rank=0, world_size=1
        )
        try:
            wrapped = DistributedDataParallel(model)
            wrapped.train()
            for _ in range(3):
                loss_of(wrapped(picture(2, 3, 64, 64))).backward()
        finally:
            dist.destroy_process_group()


@promise('`norm_eval`: statistics stand still, weights train')
def norm_eval(backbone: Backbone) -> None:
    """What detectors with small batches ask for."""
    model = backbone.build(norm_eval=True)
    model.train()
    before = statistics_of(model)
    loss_of(model(picture(2, 3, 64, 64))).backward()
    after = statistics_of(model)
    moved = [n for n, value in before.items() if not torch.equal(value, after[n])]
    assert not moved, f'moving: {names(moved)}'
    trained = [m.weight.grad for m in model.modules() if isinstance(m, _BatchNorm)]
    assert any(gradient is not None for gradient in trained), 'no gradient'


@promise('`with_cp` changes no number')
def with_cp(backbone: Backbone) -> None:
    """Checkpointing saves memory; outputs, gradients and statistics stay."""
    plain, saving = backbone.build(), backbone.build(with_cp=True)
    saving.load_state_dict(plain.state_dict())
    found = []
    for model in (plain, saving):
        model.train()
        x = picture(2, 3, 64, 64).requires_grad_()
        outs = model(x)
        loss_of(outs).backward()
        gradients = {n: p.grad for n, p in model.named_parameters()}
        found.append((outs, gradients, statistics_of(model)))
    assert_same(found[1][0], found[0][0])
    used = {n: g for n, g in found[0][1].items() if g is not None}
    scale = max(g.abs().max() for g in used.values())
    for name, gradient in used.items():
        other = found[1][1][name]
        assert other is not None, f'no gradient for {name}'
        assert (gradient - other).abs().max() <= SAME * scale, name
    for name, value in found[0][2].items():
        assert torch.allclose(value, found[1][2][name], rtol=1e-4, atol=1e-6), (
            f'statistics counted twice: {name}'
        )


@promise('GroupNorm by `norm_cfg`, everywhere')
def group_norm(backbone: Backbone) -> None:
    """For small batches."""
    model = backbone.build(norm_cfg=dict(type='GN', num_groups=1))
    left = [n for n, m in model.named_modules() if isinstance(m, _BatchNorm)]
    assert not left, f'still BN: {names(left)}'
    model.train()
    loss_of(model(picture(2, 3, 64, 64))).backward()


@promise('SyncBN by `norm_cfg`, everywhere')
def sync_bn(backbone: Backbone) -> None:
    """For many processes."""
    model = built(backbone, norm_cfg=dict(type='SyncBN'))
    norms = {n: m for n, m in model.named_modules() if isinstance(m, _BatchNorm)}
    left = [n for n, m in norms.items() if not isinstance(m, nn.SyncBatchNorm)]
    assert norms and not left, f'still BN: {names(left)}'
    forward(model, picture(2, 3, 64, 64))


@promise('SyncBN by conversion changes no number')
def sync_bn_conversion(backbone: Backbone) -> None:
    """As mmengine's `sync_bn` does it."""
    model = built_random(backbone)
    x = picture(2, 3, 64, 64)
    wanted = forward(model, x)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    converted.eval()  # torch 2.1 leaves what it converts in training mode
    assert_same(forward(converted, x), wanted)


@promise('layer-wise decay of the learning rate')
def layer_wise_decay(backbone: Backbone) -> None:
    """mmpretrain's constructor finds a depth for every parameter."""
    from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = backbone.build()
            self.head = nn.Linear(2, 2)

        def get_layer_depth(self, name):
            return self.backbone.get_layer_depth(name, 'backbone.')

    optimizer = LearningRateDecayOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1)),
        dict(layer_decay_rate=0.5),
    )(Classifier()).optimizer
    rates = [group['lr'] for group in optimizer.param_groups]
    head = [g['lr'] for g in optimizer.param_groups if g['param_name'][:4] == 'head']
    trunk = [g['lr'] for g in optimizer.param_groups if g['param_name'][:4] != 'head']
    assert set(head) == {1.0} and max(trunk) < 1.0, 'the head has the whole rate'
    assert len(set(rates)) > 4, f'{len(set(rates))} rates'
    assert trunk == sorted(trunk), 'rates grow from the stem up'


@promise('the same seed, the same weights')
def same_seed(backbone: Backbone) -> None:
    """Experiments are repeated by their seed."""
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        model = backbone.build()
        model.init_weights()
        found.append(model.state_dict())
    assert all(torch.equal(v, found[1][n]) for n, v in found[0].items())


# The module as such -------------------------------------------------------------------


@promise('`train()` and `eval()` return the model')
def modes_return_self(backbone: Backbone) -> None:
    """As every torch module does."""
    model = backbone.build()
    assert model.eval() is model, f'eval() returns {model.eval()}'
    assert model.train() is model, f'train() returns {model.train()}'


@promise('deep copy')
def deep_copy(backbone: Backbone) -> None:
    """What EMA does."""
    model = built_random(backbone)
    x = picture(1, 3, 64, 64)
    assert_same(forward(copy.deepcopy(model), x), forward(model, x), 0)


@promise('pickle')
def pickles(backbone: Backbone) -> None:
    """What starting processes does."""
    model = built_random(backbone)
    x = picture(1, 3, 64, 64)
    assert_same(forward(pickle.loads(pickle.dumps(model)), x), forward(model, x), 0)


@promise('state dict there and back')
def state_dict(backbone: Backbone) -> None:
    """Nothing that the output depends on is left out."""
    model = built_random(backbone)
    fresh = built(backbone)
    fresh.load_state_dict(model.state_dict(), strict=True)
    x = picture(1, 3, 64, 64)
    assert_same(forward(fresh, x), forward(model, x), 0)


@promise('channels-last')
def channels_last(backbone: Backbone) -> None:
    """The faster memory format gives the same numbers."""
    model = built_random(backbone)
    x = picture(2, 3, 64, 64)
    wanted = forward(model, x)
    x = x.contiguous(memory_format=torch.channels_last)
    assert_same(forward(model.to(memory_format=torch.channels_last), x), wanted)


@promise('bfloat16')
def bfloat16(backbone: Backbone) -> None:
    """Weights and picture in bfloat16."""
    # Three digits a layer, over a hundred layers: this only tells noise from nonsense.
    in_precision(backbone, torch.bfloat16, 0.6)


@promise('float16')
def float16(backbone: Backbone) -> None:
    """Weights and picture in float16."""
    try:
        nn.Conv2d(1, 1, 1).half()(torch.zeros(1, 1, 1, 1).half())
    except RuntimeError as error:
        raise Lacking('this torch has no float16 on CPUs') from error
    in_precision(backbone, torch.float16, 0.05)


def in_precision(backbone: Backbone, dtype: torch.dtype, tolerance: float) -> None:
    """Compare with float32; the tolerance is that of the precision over the depth."""
    model = built_random(backbone)
    x = picture(1, 3, 64, 64)
    wanted = forward(model, x)
    found = forward(model.to(dtype), x.to(dtype))
    assert all(out.dtype == dtype for out in found), {out.dtype for out in found}
    assert_same([out.float() for out in found], wanted, tolerance)


# On its way out -----------------------------------------------------------------------


@promise('`torch.jit.script`, then any size')
def scripts(backbone: Backbone) -> None:
    """Without Python, at a size that it has not seen."""
    model = built_random(backbone)
    scripted = torch.jit.script(model)
    for size in ((64, 64), (97, 65)):
        x = picture(1, 3, *size)
        assert_same(forward(scripted, x), forward(model, x))


@promise('`torch.jit.trace`')
def traces(backbone: Backbone) -> None:
    """At the size of the example."""
    model = built_random(backbone)
    x = picture(1, 3, 97, 65)
    assert_same(forward(torch.jit.trace(model, x), x), forward(model, x))


@promise('`torch.compile` without a graph break')
def compiles(backbone: Backbone) -> None:
    """In training mode; the backend that only captures, so no compiler is needed."""
    model = randomise(backbone.build())
    reference = copy.deepcopy(model)
    model.train(), reference.train()
    x = picture(2, 3, 64, 64)
    torch._dynamo.reset()
    try:
        compiled = torch.compile(model, backend='eager', fullgraph=True)
        assert_same(forward(compiled, x), forward(reference, x))
    finally:
        torch._dynamo.reset()


@promise("mmcv's `fuse_conv_bn` changes no number")
def fused_by_mmcv(backbone: Backbone) -> None:
    """What `--fuse-conv-bn` does in the toolboxes' tools."""
    from mmcv.cnn.utils import fuse_conv_bn

    model = built_random(backbone)
    x = picture(2, 3, 64, 64)
    wanted = forward(model, x)
    assert_same(forward(fuse_conv_bn(model), x), wanted, 1e-3)


@promise("torch.fx's `fuse` changes no number")
def fused_by_torch(backbone: Backbone) -> None:
    """What torch's own tools for deployment and quantisation begin with."""
    from torch.fx.experimental.optimization import fuse

    model = built_random(backbone)
    x = picture(2, 3, 64, 64)
    assert_same(forward(fuse(model), x), forward(model, x), 1e-3)
